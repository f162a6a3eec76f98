"""`gauntlet compact`: a finished run's tables in few files, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from gauntlet.actors.launch import launch
from gauntlet.jobs.cli.app import app
from gauntlet.pipeline.results import RunFolder
from gauntlet.pipeline.results.lock import Lock
from tests.toys.former import as_former
from tests.toys.jobs import attacks, plan
from tests.toys.parts import left_in_parts

TWO = "  - {base: i, epsilon: 8/255, steps: 1}\n  - {base: mi, epsilon: 8/255, steps: 2}"


def gauntlet(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "400"})


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose disk had no room for a second copy of a table."""
    folder = tmp_path_factory.mktemp("full")
    with left_in_parts():
        outcome = launch(plan(folder, attacks(TWO)), str(folder / "run"))
    assert outcome.units_failed == 0
    return folder / "run"


@pytest.fixture
def run(full: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(full, tmp_path / "run"))


def refused(run: Path) -> str:
    done = gauntlet("compact", str(run))
    assert done.exit_code == 2, done.output
    assert done.stderr.startswith(f"{run}: ")
    return done.stderr


def test_what_was_left_out_for_want_of_room_is_made_up_for(run: Path) -> None:
    before = pd.read_parquet(run / "verdicts")
    assert gauntlet("report", str(run)).exit_code == 0
    assert "nothing left to do" in gauntlet("resume", str(run)).stderr
    done = gauntlet("compact", str(run))
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["examples", "verdicts", "traces"]
    assert lines[0].endswith(" -> 1 file, 0.0 MB")
    assert [path.name[:6] for path in (run / "verdicts").iterdir()] == ["00000-"]
    after = pd.read_parquet(run / "verdicts")
    assert after["attack"].is_monotonic_increasing
    keys = ["attack", "example"]
    pd.testing.assert_frame_equal(
        after.sort_values(keys).reset_index(drop=True),
        before.sort_values(keys).reset_index(drop=True),
    )
    assert not RunFolder(str(run)).damage(whole=True)
    assert gauntlet("compact", str(run)).stdout == "there was nothing to compact\n"


def test_a_run_compacts_at_its_end(full: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        launch(plan(tmp_path / name, attacks(TWO)), str(tmp_path / name / "run"))
    tables = [sorted((tmp_path / name / "run").glob("*/*.parquet")) for name in ("one", "two")]
    assert [path.parent.name for path in tables[0]] == ["examples", "traces", "verdicts"]
    assert [path.read_bytes() for path in tables[0]] == [path.read_bytes() for path in tables[1]]
    again = gauntlet("compact", str(tmp_path / "one" / "run"))
    assert again.stdout == "there was nothing to compact\n"


def test_an_interrupted_compaction_is_gone_on_with(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = len(pd.read_parquet(run / "verdicts"))

    def interrupted(self: RunFolder, name: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "discard", interrupted)
        assert gauntlet("compact", str(run)).exit_code == 130
    assert RunFolder(str(run)).damage()
    assert gauntlet("compact", str(run)).exit_code == 0
    assert not RunFolder(str(run)).damage(whole=True)
    assert len(pd.read_parquet(run / "verdicts")) == before
    assert sorted(path.parent.name for path in run.glob("*/*.parquet")) == [
        "examples", "traces", "verdicts"
    ]  # fmt: skip


def test_what_is_not_whole_is_refused(run: Path) -> None:
    with Lock(RunFolder(str(run))):
        assert "is at work on this run" in refused(run)
    part = next((run / "verdicts").iterdir())
    whole = part.read_bytes()
    part.write_bytes(whole[:100])
    assert "damaged run: verdicts/" in refused(run)
    part.write_bytes(whole)
    path = run / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"finished": None}))
    assert f"is not finished: `gauntlet resume {run}` goes on with it" in refused(run)
    as_former(run)
    assert "a run of version 0.1 stays as it is" in refused(run)
    assert "no run here" in refused(run / "verdicts")
