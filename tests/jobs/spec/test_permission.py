"""A job file alone runs nothing, whatever command opens it; one's own folder is trusted."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gauntlet.jobs.cli.app import app
from gauntlet.jobs.spec.loading import open_job
from gauntlet.pipeline.models.build import build
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.models.sources.permission import VARIABLE
from gauntlet.pipeline.results import RunFolder
from tests.toys.jobs import JOB, write

NETS = """
from pathlib import Path
import tests.toys.jobs

Path(__file__).with_name("ran").touch()

def make(seed):
    return tests.toys.jobs.network(seed)
"""
EVIL = 'source: "import:os:system", options: {command: touch ran}'
EVILS = (
    EVIL,
    'source: "import:nets:make", options: {seed: 0}',
    f'source: "mean:logits", members: [{{name: a, {EVIL}}}, {{name: b, {EVIL}}}]',
    'source: "trained:w.pt", options: {source: "import:os:system", command: touch ran}',
    'source: "import:pipeline.surrogates.restored:network", '
    'options: {source: "import:os:system", file: w.pt, command: touch ran}',
)
TINY = re.compile(r'source: "import:tests.toys.jobs:network", options: \{seed: (.)\}')
MINE = TINY.sub(r'source: "import:nets:make", options: {seed: \1}', JOB)
HEADS = JOB.replace("untargeted", "targeted").replace("{base: i,", "{objective: fd,")


def gauntlet(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})


@pytest.fixture
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory away from the job, and from these tests."""
    monkeypatch.delenv(VARIABLE, raising=False)
    (tmp_path / "away").mkdir()
    monkeypatch.chdir(tmp_path / "away")
    return tmp_path / "away"


def job(folder: Path, text: str) -> str:
    folder.mkdir(exist_ok=True)
    return str(write(folder, text=text))


@pytest.mark.parametrize(
    ("text", "command"),
    [
        (JOB, ("check",)),
        (JOB, ("run",)),
        (HEADS, ("heads", "train")),
        (JOB, ("surrogates", "harden", "--surrogate", "s0", "--out", "h.safetensors")),
        (JOB, ("surrogates", "align", "--surrogate", "s0", "--out", "a.safetensors")),
        (JOB, ("surrogates", "ia-search", "--surrogate", "s0", "--out", "ia.json")),
    ],
)
def test_a_job_file_alone_runs_nothing(
    text: str, command: tuple[str, ...], tmp_path: Path, away: Path
) -> None:
    """Nor with `like`, nor with a `root` in the job that points at a folder with code."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "nets.py").write_text(NETS)
    listed = "".join(f"  - {{name: e{place}, {evil}}}\n" for place, evil in enumerate(EVILS))
    likes = "".join(f"  - {{like: e{place}, name: t{place}1}}\n" for place in range(len(EVILS)))
    given = TINY.sub(lambda found: EVIL, text, count=1) + f"root: {data}\n"
    given = given.replace("surrogates:\n", f"surrogates:\n{listed}")
    given = given.replace("targets:\n", f"targets:\n{likes}")
    done = gauntlet(*command, job(tmp_path / "job", given))
    assert done.exit_code == 2, done.output
    for place in range(len(EVILS)):
        for role in ("surrogates", "targets"):
            assert f" {role}[{place}]" in done.output
    assert done.output.count("--allow-imports") >= 2 * len(EVILS)
    assert "Traceback" not in done.output
    assert not list(tmp_path.rglob("ran"))
    assert list(away.iterdir()) == []


def test_inspect_runs_nothing_either(away: Path) -> None:
    done = gauntlet("models", "inspect", "import:os:system")
    assert done.exit_code == 2
    assert "add: --allow-imports os" in done.output


def test_ones_own_folder_is_trusted_and_check_says_what_it_ran(tmp_path: Path, away: Path) -> None:
    path = job(tmp_path / "mine", MINE)
    (tmp_path / "mine" / "nets.py").write_text(NETS)
    done = gauntlet("check", path)
    assert done.exit_code == 0, done.output
    ran = tmp_path / "mine" / "nets.py"
    assert f"s0: import:nets:make; ran {ran}; any size, rgb" in done.output
    assert (tmp_path / "mine" / "ran").exists()
    inspected = gauntlet("models", "inspect", "import:nets:make", "--allow-imports", "../mine")
    assert "missing a required argument: 'seed'" in inspected.output


def test_a_root_of_the_command_line_is_trusted(tmp_path: Path, away: Path) -> None:
    path = job(tmp_path / "job", MINE)
    data = tmp_path / "data"
    job(data, MINE)
    (data / "nets.py").write_text(NETS)
    refused = gauntlet("check", path, "--set", "name=other")
    assert refused.exit_code == 2
    done = gauntlet("check", path, "--set", f"root={data}")
    assert done.exit_code == 0, done.output
    assert f"ran {data / 'nets.py'}" in done.output


def test_resume_asks_again(tmp_path: Path, away: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "mine"
    path = job(mine, MINE)
    (mine / "nets.py").write_text(NETS)
    run = str(tmp_path / "run")
    done = gauntlet("run", path, "--out", run)
    assert done.exit_code == 0, done.output
    plan = (tmp_path / "run" / "plan.json").read_text()
    assert str(mine / "nets.py") not in plan
    assert "permission" not in plan
    # As after a crash: some units are left to do.
    for unit in (tmp_path / "run" / "verdicts").iterdir():
        unit.unlink()
        break
    (mine / "ran").unlink()
    refused = gauntlet("resume", run)
    assert refused.exit_code == 2
    assert "model 's0': source: no module 'nets': looked for nets.py" in refused.output
    assert f"in {away} (the working directory)" in refused.output
    assert not (mine / "ran").exists()
    again = gauntlet("resume", run, "--allow-imports", "../mine")
    assert again.exit_code == 0, again.output
    assert (mine / "ran").exists()
    assert len(RunFolder(run).finished()) == 2


@pytest.mark.parametrize("option", ["--allow-imports", "--set"])
def test_resume_asks_again_for_a_root_of_the_command_line(
    option: str, tmp_path: Path, away: Path
) -> None:
    path, data, run = job(tmp_path / "job", MINE), tmp_path / "data", tmp_path / "run"
    job(data, MINE)
    (data / "nets.py").write_text(NETS)
    assert gauntlet("run", path, "--set", f"root={data}", "--out", str(run)).exit_code == 0
    next((run / "verdicts").iterdir()).unlink()
    refused = gauntlet("resume", str(run))
    assert refused.exit_code == 2
    assert f"to run the one there, add --allow-imports {data}" in refused.stderr
    given = str(data) if option == "--allow-imports" else f"root={data}"
    again = gauntlet("resume", str(run), option, given)
    assert again.exit_code == 0, again.output
    assert not RunFolder(str(run)).damage(whole=True)


def test_the_environment_allows_too(
    tmp_path: Path, away: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = job(tmp_path / "job", JOB)
    refused = gauntlet("check", path)
    assert refused.exit_code == 2
    assert refused.output.count("add: --allow-imports tests") == 3
    monkeypatch.setenv(VARIABLE, "/nowhere:tests")
    assert gauntlet("check", path).exit_code == 0


def test_the_old_spellings_are_read_as_sources(tmp_path: Path, away: Path) -> None:
    """They need no permission, and runs that were begun with them keep their units."""
    quick = '"import:jobs.quickstart.networks:load", options: {name: plain}, input_size: [32, 32]'
    path = job(
        tmp_path / "job", TINY.sub(f"source: {quick}", JOB).replace("t0,", "t0, white_box: true,")
    )
    old, new = open_job(path).plan.surrogates[0], ModelSpec(name="s0", source="quickstart/plain")
    assert old.source == "import:jobs.quickstart.networks:load"
    assert old.options == {"name": "plain"}
    # That of version 0.1.0: a run goes on with the models that it began with.
    assert build(old).fingerprint == "caa275150ff36fe6"
    assert build(old).weights_fingerprint == build(new).weights_fingerprint
    from gauntlet.pipeline.training.trained_file import write_trained

    file = tmp_path / "plain.safetensors"
    write_trained(file, build(new).network, {})
    once = ModelSpec(
        name="s0",
        source="import:pipeline.surrogates.restored:network",
        options={"source": "quickstart/plain", "file": str(file)},
    )
    now = ModelSpec(name="s0", source=f"trained:{file}", options={"source": "quickstart/plain"})
    weights = {build(spec).weights_fingerprint for spec in (once, now, new)}
    assert len(weights) == 1
    assert build(now).preprocessing == build(new).preprocessing
    assert json.loads(once.model_dump_json())["options"]["file"] == str(file)
