"""A run says what it took, stage by stage, beside what was expected; nothing is measured for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from gauntlet.jobs.cli.app import app
from gauntlet.jobs.reports.cost_words import cost_words
from gauntlet.pipeline import results, user_cache
from gauntlet.pipeline.results.manifest import CostRecord
from gauntlet.pipeline.results.record.entries import UnitDone
from gauntlet.pipeline.run.costs import PLANNED, by_first_units, keep, kept
from tests.toys.jobs import plan, write
from tests.toys.manifests import manifest


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAUNTLET_CACHE", str(tmp_path / "cache"))


def test_a_run_keeps_what_was_planned_beside_what_it_took(tmp_path: Path) -> None:
    job, out = str(write(tmp_path)), str(tmp_path / "run")
    for command in (["plan", job], ["run", job, "--yes", "--out", out]):
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, done.output
    found = results.manifest(out)
    measured, foretold = found.measured, found.foretold
    assert measured is not None
    assert foretold is not None
    assert sum(measured.stages.values()) <= (measured.seconds or 0) + 0.01
    files = [*Path(out).glob("*/*.parquet")]
    assert measured.files == len(files)
    assert measured.bytes == sum(file.stat().st_size for file in files)
    assert foretold.stages.keys() == measured.stages.keys()
    assert (foretold.basis, foretold.units) == (PLANNED, measured.units)
    for command in (["report", out], ["status", out]):
        said = CliRunner().invoke(app, command, env={"COLUMNS": "400"}).output
        assert f"took {measured.seconds:.1f} s: start" in said
        assert f"expected, by {PLANNED}: " in said


def test_what_is_kept_is_of_one_plan(tmp_path: Path) -> None:
    mine, other = (plan(tmp_path, ("batch: 4", f"batch: {size}")) for size in (4, 2))
    cost = CostRecord(seconds=2.0, stages={"attacks": 1.5}, units=2, basis=PLANNED)
    keep(mine, ["one", "two", "one"], cost)
    assert kept(mine, ["two", "one"]) == cost
    assert kept(other, ["two", "one"]) is None
    assert kept(mine, ["two", "other weights"]) is None
    for entry in user_cache.folder("costs").iterdir():
        entry.write_text("{")
    assert kept(mine, ["two", "one"]) is None


def test_first_units_tell_what_the_others_take() -> None:
    times = {"a": [2.0, 9.0, 9.0], "b": [1.0, 9.0]}
    done = {
        f"{attack}{number}": UnitDone(attack=attack, rows=1, lost=0, seconds=seconds)
        for attack, each in times.items()
        for number, seconds in enumerate(each)
    }
    found = by_first_units(done, lanes=2)
    assert found is not None
    assert found.stages == {"attacks": (3 * 2.0 + 2 * 1.0) / 2}
    assert by_first_units({}, lanes=2) is None


def test_runs_that_are_older_say_nothing() -> None:
    assert cost_words(manifest()) == []
