from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from jobs.cli import app
from jobs.folders import bundled_jobs, find_job, new_run_folder
from pipeline.problems import BadInput
from tests.jobs.tiny import write


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
        (("run",), ["--set", "--out", "--address", "--placement", "Exit code", "gauntlet run job"]),
        (("resume",), ["exactly once", "gauntlet resume runs/"]),
        (("check",), ["step size", "preprocessing", "gauntlet check quickstart"]),
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
    program = "import sys, jobs.cli; sys.exit('torch' in sys.modules or 'ray' in sys.modules)"
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
    assert f"--out: {folder} holds a run already" in result.stderr
    assert f"gauntlet resume {folder}" in result.stderr


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


def test_interruption_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("jobs.commands.launch", interrupted)
    result = gauntlet("run", str(write(tmp_path)), "--out", str(tmp_path / "run"))
    assert result.exit_code == 130
    assert f"gauntlet resume {tmp_path / 'run'}" in result.stderr


def test_no_cluster_at_the_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise ConnectionError("nobody answers")

    monkeypatch.setattr("jobs.commands.launch", refused)
    result = gauntlet("run", str(write(tmp_path)), "--address", "h:1", "--out", str(tmp_path / "r"))
    assert result.exit_code == 2
    assert "--address: no Ray cluster at h:1: nobody answers" in result.stderr


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
