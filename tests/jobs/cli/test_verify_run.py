"""`gauntlet verify`: its table, its exit status, and whose code it runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gauntlet.actors.launch import launch
from gauntlet.jobs.cli.app import app
from tests.run.verifying.test_sampling import changed, flip_a_bit
from tests.toys.jobs import plan

ROOT = Path(__file__).resolve().parents[3]


def gauntlet(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "400"})


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    launch(plan(folder), str(folder / "run"))
    return folder / "run"


@pytest.fixture
def run(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "run"))


def test_a_sound_run(sound: Path) -> None:
    done = gauntlet("verify", str(sound))
    assert done.exit_code == 0, done.output
    assert "2 of 2 done" in done.stdout
    assert done.stdout.count("sound") >= 6
    assert "fault" not in done.stdout


def test_a_flipped_bit_is_found_by_a_sample_alone(run: Path) -> None:
    changed(run, "examples", "image", flip_a_bit)
    assert gauntlet("verify", str(run)).exit_code == 0
    done = gauntlet("verify", str(run), "--sample", "9")
    assert done.exit_code == 1, done.output
    assert "2 of 2 units, computed again" in done.stdout
    assert "(images/0: 1 of 192 values, by up to 1 levels)" in done.stdout
    assert "software, devices and threads are the same" in done.stdout


def test_damage_and_what_is_left_are_told(run: Path) -> None:
    (path,) = (run / "verdicts").iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    done = gauntlet("verify", str(run), "--sample", "1")
    assert done.exit_code == 1
    assert f"verdicts/{path.name}: was cut (" in done.stdout
    assert f"`gauntlet resume {run}` mends what was damaged" in done.stdout
    assert "computed again" not in done.stdout


def test_what_resume_would_refuse_is_not_promised(run: Path) -> None:
    plan = run / "plan.json"
    plan.write_text(plan.read_text().replace('"seed":', '"seed": 1, "was":', 1))
    done = gauntlet("verify", str(run))
    assert done.exit_code == 1
    assert f"delete plan.json, and `gauntlet resume {run}` writes that one anew" in done.stdout
    assert "mends" not in done.stdout


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    done = gauntlet("verify", str(tmp_path))
    assert done.exit_code == 2
    assert "no run here" in done.stderr


def test_a_persons_code_runs_where_it_is_allowed(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = gauntlet("verify", str(run), "--sample", "1")
    assert done.exit_code == 2, done.output
    assert "--allow-imports" in done.stderr
    done = gauntlet("verify", str(run), "--sample", "1", "--allow-imports", f"{ROOT}/")
    assert done.exit_code == 0, done.output
