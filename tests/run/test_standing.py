"""Where a run stands is read from its record, whoever is at work on it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from pydantic import JsonValue

from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.results.lock import Lock
from gauntlet.pipeline.results.record.chain import Record
from gauntlet.pipeline.results.record.entries import (
    Begun,
    Chosen,
    Commit,
    Repair,
    TableFile,
    UnitDone,
)
from gauntlet.pipeline.results.storage import Storage
from gauntlet.pipeline.run.standing import standing

PLAN = {"name": "job", "attacks": [{}, {}], "resources": {"batch": 8}}


@pytest.fixture
def run(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path))


def begun(run: Storage) -> Record:
    record = Record(run)
    record.append(Begun(version="0.1.0", plan=PLAN, digest="d"))
    return record


def taken_up(run: Storage) -> Record:
    record = Record.read(run)
    assert record is not None
    return record


def commit(record: Record, units: Iterable[str], failed: Iterable[str] = ()) -> None:
    done = UnitDone(attack="a", rows=8, lost=0, seconds=1.0)
    files = [
        TableFile(name=f"failures/{unit}.parquet", rows=1, bytes=9, checksum="", units=(unit,))
        for unit in failed
    ]
    record.append(Commit(files=tuple(files), units=dict.fromkeys(units, done)))


def test_units_are_counted_once_the_examples_are_chosen(run: Storage) -> None:
    record = begun(run)
    before = standing(run.location)
    assert (before.units, before.left, before.seconds_left) == (None, None, None)
    record.append(Chosen(thresholds={}, examples=20, digest="d"))
    found = standing(run.location)
    assert (found.units, found.done, found.left, found.failed) == (6, 0, 6, 0)
    assert (found.name, found.version, found.complete) == ("job", "0.1.0", False)


def test_attempts_have_their_own_paces_and_what_failed_is_left_again(run: Storage) -> None:
    record = begun(run)
    record.append(Chosen(thresholds={}, examples=20, digest="d"))
    commit(record, "ab", failed="c")
    first = standing(run.location)
    assert (first.done, first.failed, first.left, first.attempts) == (2, 1, 3, 1)
    assert (first.last.units, first.all.units) == (2, 2)
    again = taken_up(run)
    again.append(Repair(files=("failures/c.parquet",)))
    commit(again, "cde")
    found = standing(run.location)
    assert (found.done, found.failed, found.left, found.attempts) == (5, 0, 1, 2)
    assert (found.last.units, found.all.units) == (3, 5)
    assert found.last.seconds < found.all.seconds
    assert found.last.a_second is not None
    assert found.seconds_left == pytest.approx(1 / found.last.a_second)
    commit(again, "f")
    assert standing(run.location).complete


def test_the_driver_is_named_alive_and_dead(run: Storage) -> None:
    begun(run)
    assert standing(run.location).driver is None
    with Lock(run):
        found = standing(run.location)
        assert found.driver is not None
        assert found.alive
    script = "import os, sys\nfrom gauntlet.pipeline.results.lock import Lock\n"
    script += "from gauntlet.pipeline.results.storage import Storage\n"
    script += "Lock(Storage(sys.argv[1])).__enter__()\nos._exit(9)"
    subprocess.run([sys.executable, "-c", script, run.location], check=False)
    found = standing(run.location)
    assert found.driver is not None
    assert found.driver.startswith("process ")
    assert not found.alive


def test_a_record_of_nothing_is_said_to_be_one(run: Storage) -> None:
    with pytest.raises(BadInput, match="no record"):
        standing(run.location)
    begun(run).append(Chosen(thresholds={}, examples=1, digest="d"))
    Path(run.location, "record", "000000.json").unlink()
    with pytest.raises(BadInput, match="what it began with"):
        standing(run.location)


@pytest.mark.parametrize("plan", [{}, {"resources": {"batch": 0}, "attacks": []}, {"resources": 3}])
def test_a_plan_that_is_none_is_said_to_be_one(run: Storage, plan: dict[str, JsonValue]) -> None:
    record = Record(run)
    record.append(Begun(version="0.1.0", plan=plan, digest="d"))
    record.append(Chosen(thresholds={}, examples=1, digest="d"))
    with pytest.raises(BadInput, match="holds no plan of a run"):
        standing(run.location)
