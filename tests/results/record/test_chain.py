"""The record as a chain: few files, whatever is interrupted, and no entry that nobody may write."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from pydantic import ValidationError

from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.results.parts import stage
from gauntlet.pipeline.results.record import commits as committing
from gauntlet.pipeline.results.record.chain import ROLL, Record
from gauntlet.pipeline.results.record.commits import Commits
from gauntlet.pipeline.results.record.entries import (
    Begun,
    Change,
    Commit,
    Compacted,
    Link,
    Repair,
    TableFile,
    UnitDone,
)
from gauntlet.pipeline.results.storage import Storage


def file(name: str) -> TableFile:
    return TableFile(name=f"verdicts/{name}.parquet", rows=1, bytes=2, checksum="c", units=(name,))


def done() -> UnitDone:
    return UnitDone(attack="i", rows=1, lost=0, seconds=0.5)


def begun(folder: Path) -> Record:
    record = Record(Storage(str(folder)))
    record.append(Begun(version="0", plan={"seed": 1}, digest="d"))
    return record


def read(folder: Path) -> Record:
    record = Record.read(Storage(str(folder)))
    assert record is not None
    return record


@pytest.fixture
def _without_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.mark.usefixtures("_without_waiting_for_the_disk")
def test_many_entries_lie_in_few_files_and_none_is_lost_between_them(tmp_path: Path) -> None:
    record = begun(tmp_path)
    aside = tmp_path / "aside"
    for number in range(1, 2 * ROLL + 10):
        record.append(Commit(files=(file(f"u{number}"),), units={f"u{number}": done()}))
        if number == ROLL - 2:
            shutil.copytree(tmp_path / "record", aside)
    names = sorted(path.name for path in (tmp_path / "record").iterdir())
    assert names[:2] == ["000000-000099.jsonl", "000100-000199.jsonl"]
    assert len(names) == 2 + 10
    for path in aside.iterdir():  # killed before the single files were gone
        shutil.move(path, tmp_path / "record" / path.name)
    found = read(tmp_path)
    assert not found.faults
    assert found.files == record.files
    assert found.units == record.units
    found.append(Repair(units=("u1",)))
    assert read(tmp_path).units.keys() == record.units.keys() - {"u1"}


def test_an_entry_that_was_put_in_another_s_place_breaks_the_chain(tmp_path: Path) -> None:
    record = begun(tmp_path / "one")
    for unit in ("a", "b"):
        record.append(Commit(units={unit: done()}))
    shutil.copytree(tmp_path / "one", tmp_path / "other")
    for name in ("one", "other"):
        record = read(tmp_path / name)
        for unit in (name, "last"):
            record.append(Commit(units={unit: done()}))
    place = "record/000003.json"
    shutil.copy(tmp_path / "other" / place, tmp_path / "one" / place)
    found = read(tmp_path / "one")
    assert found.faults == {3: "was edited"}
    assert found.units.keys() == {"a", "b", "last"}
    found.append(Repair(entries=(3,)))
    assert read(tmp_path / "one").faults == {}


def test_closing_commits_the_rest_and_a_failure_is_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committing, "EVERY", 1e6)
    storage, record = Storage(str(tmp_path)), begun(tmp_path)
    with Commits(storage, record) as commits:
        commits.add([], {"a": done()})
        commits.add([], {"b": done()})
        commits.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert read(tmp_path).units.keys() == {"a", "b"}

    def refuse() -> None:
        raise OSError("the lock is another's")

    record.guard = refuse
    with pytest.raises(OSError, match="another's"), Commits(storage, record) as commits:
        commits.add([], {"c": done()})
    assert read(tmp_path).units.keys() == {"a", "b"}


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_files_are_on_the_disk_before_the_entry_that_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "runs" / "one"
    storage = Storage(str(run))
    synced, fsync = [], os.fsync

    def noted(handle: int) -> None:
        name = os.readlink(f"/proc/self/fd/{handle}").rpartition("/")[2]
        aside = name.lstrip(".").rpartition(".")[0] if name.startswith(".") else name
        synced.append(aside.removesuffix(".json"))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", noted)
    record = begun(run)
    made = [tmp_path.name, "runs", "one"]
    assert synced == [*made, "000000", "record"], "a folder is named in the one that it lies in"
    synced.clear()
    with Commits(storage, record) as commits:
        stage(storage, "verdicts/a.parquet", b"xy")
        commits.add([file("a")], {"a": done()})
    assert {"a.parquet", "verdicts"} <= {*synced[: synced.index("000001")]}
    assert "record" in synced[synced.index("000001") :]


def test_a_unit_is_read_with_the_rows_a_pass_that_it_was_done_with(tmp_path: Path) -> None:
    record = Record(Storage(str(tmp_path)))
    first, then = ({"resources": {"rows_per_pass": count}} for count in (256, 64))
    narrow = UnitDone(attack="i", rows=1, lost=0, seconds=0.5, rows_per_pass=32)
    record.append(Begun(version="0", plan=dict(first), digest="d"))
    record.append(Commit(units={"early": done(), "narrow": narrow}))
    record.append(Change(plan=dict(then), fields=("resources.rows_per_pass: 256 -> 64",)))
    record.append(Commit(units={"late": done()}))
    found = read(tmp_path)
    cuts = {unit: found.rows_per_pass(unit) for unit in found.units}
    assert cuts == {"early": 256, "narrow": 32, "late": 64}
    assert found.narrowed == {"narrow": 32}
    written = (tmp_path / "record" / "000003.json").read_text()
    assert "rows_per_pass" not in written, "it is said only where it is not the plan's"


def test_an_entry_far_beyond_the_others_is_not_waited_for(tmp_path: Path) -> None:
    begun(tmp_path)
    place = tmp_path / "record"
    shutil.copy(place / "000000.json", place / "999999999999.json")
    with pytest.raises(BadInput, match=r"missing before record/999999999999\.json"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["../beside.parquet", "verdicts/../../x.parquet", "/etc/passwd"])
def test_no_entry_names_a_file_beside_the_run(name: str) -> None:
    with pytest.raises(ValidationError):
        TableFile(name=name, rows=1, bytes=1, checksum="c")
    with pytest.raises(ValidationError):
        Repair(files=(name,))
    with pytest.raises(ValidationError):
        Compacted(files=(), gone=(name,))


@pytest.mark.parametrize("at", [float("nan"), float("inf"), 1e300, -1.0])
def test_no_entry_is_from_a_time_that_no_clock_shows(at: float) -> None:
    with pytest.raises(ValidationError):
        Link(number=0, before="", at=at, entry=Repair())
