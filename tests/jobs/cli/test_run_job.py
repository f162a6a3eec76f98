from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ray._private import auto_init_hook
from typer.testing import CliRunner, Result

from gauntlet.actors.session import connect, disconnect
from gauntlet.jobs.cli.app import app
from gauntlet.jobs.cli.folders import bundled_jobs, find_job, new_run_folder
from gauntlet.jobs.cli.signals import Terminated
from gauntlet.pipeline import results
from gauntlet.pipeline.models import build
from gauntlet.pipeline.models.architectures.faces import FACES
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.results import RunFolder
from gauntlet.pipeline.run.runner import Runner
from tests.toys.jobs import write


def gauntlet(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "120"})


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A run of the tiny job."""
    folder = tmp_path_factory.mktemp("tiny")
    result = gauntlet("run", str(write(folder)), "--out", str(folder / "run"))
    return folder / "run", result


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ((), ["gauntlet check quickstart", "gauntlet run quickstart", "report", "resume"]),
        (
            ("run",),
            ["--set", "--out", "--address", "--placement", "Exit status", "gauntlet run job"],
        ),
        (("resume",), ["exactly once", "gauntlet resume runs/"]),
        (("check",), ["step size", "--out", "--address", "gauntlet check quickstart"]),
        (("methods",), ["gauntlet methods rgea"]),
        (("models",), ["architectures", "gauntlet models"]),
        (("report",), ["--csv", "--targets", "gauntlet report runs/"]),
        (("schema",), ["reference page", "gauntlet schema >"]),
    ],
)
def test_help_teaches(command: tuple[str, ...], words: list[str]) -> None:
    result = gauntlet(*command, "--help")
    assert result.exit_code == 0
    for word in words:
        assert word in result.output


def test_the_version_is_the_package_s() -> None:
    assert gauntlet("--version").output == f"gauntlet {metadata.version('gauntlet')}\n"


def test_help_does_not_wait_for_torch() -> None:
    heavy = "sys.exit('torch' in sys.modules or 'ray' in sys.modules)"
    program = f"import sys, gauntlet.jobs.cli.app; {heavy}"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_bad_input_is_one_line_a_problem(tmp_path: Path) -> None:
    path = write(tmp_path, ("batch: 4", "bacth: 4"), ("steps: 2", "steps: two"))
    for command in ("check", "run"):
        result = gauntlet(command, str(path))
        assert result.exit_code == 2
        lines = result.stderr.splitlines()
        assert lines[0].startswith(f"{path}:10: attacks[0].steps: expected a whole number")
        assert lines[1].startswith(f"{path}:11: resources.bacth: unknown key 'bacth'")
        assert lines[2:] == ["2 problems"]
        assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("run", "nothing.yaml"), "nothing.yaml: no such job file"),
        (("run", "quickstrat"), "did you mean 'quickstart'"),
        (("check", "."), "is a folder; expected a job file"),
        (("resume", "nowhere"), "nowhere: no run here"),
        (("report", "nowhere"), "nowhere: no run here"),
        (("methods", "rega"), "unknown method 'rega'; did you mean 'rgea'"),
    ],
)
def test_what_is_not_there(arguments: tuple[str, ...], expected: str) -> None:
    result = gauntlet(*arguments)
    assert result.exit_code == 2
    assert expected in result.stderr


def test_trap_10_and_12_check_prints_budgets_and_preprocessing(tmp_path: Path) -> None:
    text = "seed: 2}}", "seed: 2}, mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25]}"
    result = gauntlet("check", str(write(tmp_path, text)))
    assert result.exit_code == 0, result.output
    (row,) = [line for line in result.output.splitlines() if "i/ens/linf-8" in line]
    assert " ".join(row.split()) == "i/ens/linf-8 all cross-entropy sign linf 8 2 6 no"
    assert "mean (0.5, 0.5, 0.5), std (0.25, 0.25, 0.25)" in result.output
    assert "no normalisation" in result.output
    assert "8 examples from npz" in result.output


def test_run_reports_what_it_did(finished: tuple[Path, Result]) -> None:
    folder, result = finished
    assert result.exit_code == 0, result.output
    assert "i/ens/linf-8" in result.stdout
    assert "headline" in result.stdout
    assert f'pandas.read_parquet("{folder}/verdicts")' in result.stdout
    assert "attack and evaluate: 8/8 examples" in result.stderr
    verdicts = pd.read_parquet(folder / "verdicts")
    assert len(verdicts) == 8


def test_run_refuses_a_folder_that_holds_a_run(finished: tuple[Path, Result]) -> None:
    folder, _ = finished
    result = gauntlet("run", str(folder.parent / "job.yaml"), "--out", str(folder))
    assert result.exit_code == 2
    expected = (
        f"--out: {folder} holds a finished run already; see it with `gauntlet report {folder}`"
    )
    assert expected in result.stderr
    assert "resume" not in result.stderr


def test_resume_of_a_finished_run_changes_nothing(finished: tuple[Path, Result]) -> None:
    folder, _ = finished
    before = sorted(folder.rglob("*.parquet"))
    result = gauntlet("resume", str(folder))
    assert result.exit_code == 0, result.output
    assert sorted(folder.rglob("*.parquet")) == before


def test_report_writes_groups_and_targets(finished: tuple[Path, Result], tmp_path: Path) -> None:
    folder, _ = finished
    result = gauntlet("report", str(folder), "--targets", "--csv", str(tmp_path / "r.csv"))
    assert result.exit_code == 0, result.output
    assert "t0" in result.stdout
    table = pd.read_csv(tmp_path / "r.csv")
    assert table["level"].tolist() == ["group", "target"]
    assert {"success", "low", "high", "n", "success_all", "n_all"} <= set(table.columns)


def test_placement_is_an_override(tmp_path: Path) -> None:
    result = gauntlet("run", str(write(tmp_path)), "--placement", "moon")
    assert result.exit_code == 2
    assert result.stderr.startswith("--placement: expected 'auto', 'in-process', 'packed'")


@pytest.mark.parametrize(("begun", "said"), [(True, "gauntlet resume"), (False, "no run to")])
@pytest.mark.parametrize(
    ("end", "word", "status"),
    [(KeyboardInterrupt, "interrupted", 130), (Terminated, "terminated", 143),
     (OSError("disk full"), "stopped: disk full", 3)],
)  # fmt: skip
def test_an_end_before_the_end_says_how_to_go_on(
    end: BaseException, word: str, status: int, begun: bool, said: str,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def ended(self: Runner) -> None:
        if begun:
            (tmp_path / "run" / "plan.json").touch()
        raise end

    monkeypatch.setattr(Runner, "run", ended)
    result = gauntlet("run", str(write(tmp_path)), "--out", str(tmp_path / "run"))
    assert result.exit_code == (2 if status == 3 and not begun else status)
    (line,) = result.stderr.splitlines()[1:]
    assert line.startswith(word)
    assert said in line


def test_what_answers_at_the_address_but_is_no_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setenv("GAUNTLET_JOIN_S", "0.5")
    job = str(write(tmp_path, ("in-process", "packed")))
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        result = gauntlet("run", job, "--address", address, "--out", str(tmp_path / "r"))
    assert result.exit_code == 2
    assert f"--address: no Ray cluster to join at {address}: no word within 0.5 s" in result.stderr


def test_methods_lists_every_part_and_explains_one() -> None:
    table = gauntlet("methods").output
    for token in ("rgea", "svre", "di", "cross-entropy", "pgd"):
        assert f" {token} " in table
    one = gauntlet("methods", "rgea").output
    assert "rtol" in one
    assert "1e-06" in one


def test_models_lists_sources_and_architectures() -> None:
    result = gauntlet("models")
    assert result.exit_code == 0
    for name in ("timm/", "torchvision/", "cifar-resnet-20", "mobilefacenet-112x96"):
        assert name in result.output
    for name in FACES:
        assert name in result.output
    assert re.search(r"file: 1\d\d architectures, \d\d layouts of weights load", result.output)


def test_bundled_jobs_are_found_by_name() -> None:
    assert "quickstart" in bundled_jobs()
    assert find_job("quickstart").is_file()
    assert gauntlet("check", "quickstart").exit_code == 0


def test_run_folders_are_named_by_job_and_time(tmp_path: Path) -> None:
    folder = new_run_folder("name", f"{tmp_path}/", None)
    assert Path(folder).parent == tmp_path
    assert Path(folder).name.startswith("name-20")
    Path(folder).mkdir()
    (Path(folder) / "plan.json").write_text("{}")
    with pytest.raises(BadInput, match="holds a run already"):
        new_run_folder("name", str(tmp_path), folder)


def _closed_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
    return port


def _no_ray(*_: object, **__: object) -> None:
    pytest.fail("Ray was started")


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_address_where_nothing_answers_is_refused_before_ray(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ray.init", _no_ray)
    job, place = str(write(tmp_path, ("in-process", "packed"))), f"127.0.0.1:{_closed_port()}"
    result = gauntlet("run", job, "--address", scheme + place, "--out", str(tmp_path / "r"))
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == (
        f"--address: no Ray cluster answers at {place}; start one with `ray start --head`, "
        "or leave --address out to use this machine"
    )
    assert not (tmp_path / "r").exists()


def test_the_variable_s_address_is_probed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.init", _no_ray)
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{_closed_port()}")
    with pytest.raises(BadInput, match=r"RAY_ADDRESS: no Ray cluster answers at .* or unset it"):
        connect("auto")


def test_an_address_without_a_port_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.init", _no_ray)
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    with pytest.raises(BadInput, match="--address: expected HOST:PORT, auto or local, got 'head'"):
        connect("head")


def test_a_cluster_that_answers_is_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    joined: list[object] = []
    monkeypatch.setattr("gauntlet.actors.session.greet", lambda address: None)
    monkeypatch.setattr("ray.init", lambda **options: joined.append(options["address"]))
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    nodes = [
        {"Alive": True, "Resources": {"CPU": 3.0}},
        {"Alive": False, "Resources": {"CPU": 9.0}},
    ]
    monkeypatch.setattr("ray.nodes", lambda: nodes)
    monkeypatch.setattr("gauntlet.actors.session.internal_kv._internal_kv_get", lambda key: None)
    monkeypatch.setattr("ray._private.auto_init_hook.enable_auto_connect", True)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert connect(address).cpus == 3
        disconnect()
    assert joined == [address]
    # A call that comes after the end of the session starts no other one.
    assert not auto_init_hook.enable_auto_connect


def test_a_place_that_cannot_hold_a_run_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gauntlet.actors.launch._engine", _no_ray)
    job, file = str(write(tmp_path)), tmp_path / "file"
    file.write_text("")
    for out in (file, file / "run"):
        result = gauntlet("run", job, "--out", str(out))
        assert result.exit_code == 2
        assert result.stderr == f"--out: {file} is a file; expected a folder\n"
    result = gauntlet("run", job, "--set", f"output={file}")
    assert result.stderr == f"output: {file} is a file; expected a folder\n"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_a_place_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    result = gauntlet("run", str(write(tmp_path)), "--set", "output=/proc/x")
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("output: /proc/x/tiny-")
    assert line.endswith(" cannot be created: No such file or directory")


def test_asking_whether_a_place_can_hold_a_run_leaves_nothing(tmp_path: Path) -> None:
    assert RunFolder(str(tmp_path / "a" / "b")).obstacle() is None
    assert RunFolder(str(tmp_path)).obstacle() is None
    assert list(tmp_path.iterdir()) == []


def test_resume_of_a_complete_run_says_so(finished: tuple[Path, Result]) -> None:
    folder, run = finished
    result = gauntlet("resume", str(folder))
    assert result.exit_code == 0
    assert result.stderr == "nothing left to do: all 2 units are finished\n"
    assert result.stdout == run.stdout


def test_resume_of_an_incomplete_run_goes_on(finished: tuple[Path, Result], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(finished[0], folder)
    advice = f"gauntlet resume {folder}"
    assert advice not in gauntlet("report", str(folder)).output
    next((folder / "verdicts").iterdir()).unlink()
    assert advice in gauntlet("report", str(folder)).output
    result = gauntlet("resume", str(folder))
    assert result.exit_code == 0, result.output
    assert "attack and evaluate: 8/8 examples" in result.stderr
    assert len(results.read(str(folder), "verdicts")) == 8

    manifest = json.loads((folder / "manifest.json").read_text())
    for change in ({"finished": None}, {"units": {"done": 1, "failed": 1}}):
        left = {key: value for key, value in (manifest | change).items() if value is not None}
        (folder / "manifest.json").write_text(json.dumps(left))
        result = gauntlet("resume", str(folder))
        assert result.exit_code == 0
        assert "attack and evaluate" in result.stderr


def test_an_address_is_refused_where_ray_is_not_used(
    finished: tuple[Path, Result], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    expected = (
        "--address: placement in-process works without Ray; choose auto, packed or pinned, "
        "or leave --address out\n"
    )
    job = str(write(tmp_path))
    for command in (("run", job, "--out", str(out)), ("resume", str(finished[0]))):
        result = gauntlet(*command, "--address", "auto")
        assert result.exit_code == 2
        assert result.stderr == expected
    assert not out.exists()


@pytest.mark.parametrize("command", ["run", "resume"])
def test_each_model_is_checked_once_in_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    looked: list[str] = []
    real = build.check

    def counted(spec: ModelSpec, *args: Any, **kwargs: Any) -> list[Problem]:
        looked.append(spec.name)
        return real(spec, *args, **kwargs)

    job, folder = str(write(tmp_path)), str(tmp_path / "run")
    arguments = ["run", job, "--out", folder, "--placement", "in-process", "--yes"]
    if command == "resume":
        with monkeypatch.context() as patched:
            patched.setattr(Runner, "_selection", _killed)
            gauntlet(*arguments)
        arguments = ["resume", folder]
    monkeypatch.setattr(build, "check", counted)
    result = gauntlet(*arguments)
    assert result.exit_code == 0, result.output
    assert sorted(looked) == ["s0", "s1", "t0"]


def _killed(*_: Any) -> Any:
    raise KeyboardInterrupt
