"""A record checked whole: whatever is not as it was is found, also behind checksums made anew."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gauntlet.actors.launch import launch
from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.progress import Silent
from gauntlet.pipeline.results import RunFolder
from gauntlet.pipeline.results.record.entries import Begun, Chosen, Commit
from gauntlet.pipeline.run.verifying.checking import Checked, check
from tests.toys.former import as_former
from tests.toys.jobs import attacks, plan
from tests.toys.parts import left_in_parts
from tests.toys.remade import column, remade

TWO = "  - {base: i, epsilon: 8/255, steps: 1}\n  - {base: mi, epsilon: 8/255, steps: 2}"


@pytest.fixture(scope="module")
def compacted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compacted")
    every = ("resources:", "evaluate: {steps: all, interactions: {grid: 2}}\nresources:")
    launch(plan(folder, attacks(TWO), every), str(folder / "run"))
    return folder / "run"


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parts")
    with left_in_parts():
        launch(
            plan(folder, attacks(TWO), ("batch: 4", "batch: 3, part_seconds: 0")),
            str(folder / "run"),
        )
    return folder / "run"


@pytest.fixture
def run(compacted: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(compacted, tmp_path / "run"))


def checked(run: Path) -> Checked:
    return check(RunFolder(str(run)), Silent())


def told(run: Path) -> list[str]:
    return [str(problem) for problem in checked(run).problems]


def test_runs_as_they_are_left_are_sound(compacted: Path, parts: Path) -> None:
    found = checked(compacted)
    assert found.problems == []
    assert found.rows == {"examples": 16, "verdicts": 24, "traces": 24, "interactions": 32} | {
        "failures": 0
    }
    assert (found.planned, found.done, found.failed) == (4, 4, 0)
    assert len(found.sound) == 4
    found = checked(parts)
    assert found.problems == []
    assert (found.planned, found.done, found.files) == (6, 6, 18)


def in_verdicts(change: Callable[[pa.Table], pa.Table]) -> Callable[[str, pa.Table], pa.Table]:
    return lambda table, rows: change(rows) if table == "verdicts" else rows


def first(name: str, value: object) -> Callable[[pa.Table], pa.Table]:
    return lambda rows: column(rows, name, lambda values: values.__setitem__(0, value))


def cut_first_image(table: str, rows: pa.Table) -> pa.Table:
    def cut(images: list[bytes]) -> None:
        images[0] = images[0][:-1]

    return column(rows, "image", cut) if table == "examples" else rows


def swap_units(rows: pa.Table) -> pa.Table:
    return column(rows, "unit", lambda units: units.reverse())


CHANGED: list[tuple[Callable[[str, pa.Table], pa.Table], str]] = [
    (in_verdicts(lambda rows: rows.slice(1)), "'i/ens/linf-8': no row: 1 example (images/"),
    (in_verdicts(lambda rows: pa.concat_tables([rows.slice(1), rows.slice(1, 1)])),
     "1 row there twice"),
    (in_verdicts(first("target", "t9")), "1 row whose target the plan does not have"),
    (in_verdicts(first("step", 3)), "1 row whose step the plan does not have"),
    (in_verdicts(first("example", "archive/99")), "1 row whose example the plan does not have"),
    (in_verdicts(first("attack", "mi/ens/linf-8")), "1 row whose unit is another's"),
    (in_verdicts(swap_units), "16 rows whose unit is another's"),
    (cut_first_image, "1 row whose image is not stored as the plan says"),
    (lambda table, rows: rows.slice(1) if table == "interactions" else rows,
     "interactions: attack 'i/ens/linf-8': no row of 's0': 1 example (images/"),
    (lambda table, rows: rows.slice(0, 23) if table == "traces" else rows,
     "traces: attack 'mi/ens/linf-8': no row: 1 example (images/"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "expected"), CHANGED)
def test_rows_that_the_units_did_not_make(
    run: Path, change: Callable[[str, pa.Table], pa.Table], expected: str
) -> None:
    remade(run, rows=change)
    assert not RunFolder(str(run)).damage(whole=True)
    assert any(expected in line for line in told(run))


def other_digest(entry: Any) -> Any:
    return entry.model_copy(update={"digest": "d"}) if isinstance(entry, Begun) else entry


def one_unit_less(entry: Any) -> Any:
    if not isinstance(entry, Commit) or not entry.units:
        return entry
    return entry.model_copy(update={"units": dict([*entry.units.items()][1:])})


def one_row_more(entry: Any) -> Any:
    if not isinstance(entry, Commit):
        return entry
    units = {unit: replace(done, rows=done.rows + 1) for unit, done in entry.units.items()}
    return entry.model_copy(update={"units": units})


def another_unit(entry: Any) -> Any:
    if not isinstance(entry, Commit) or not entry.units:
        return entry
    done = [*entry.units.values()]
    return entry.model_copy(update={"units": {**entry.units, "0" * 20: done[0]}})


ENTRIES: list[tuple[Callable[[Any], Any], str]] = [
    (other_digest, "record: the plan that the run began with is another one than its digest says"),
    (one_unit_less, "rows that no unit made: 4 examples"),
    (one_row_more, "has 4 rows, its commit says 5"),
    (another_unit, "1 that the plan does not make (00000000000000000000)"),
]


@pytest.mark.parametrize(("change", "expected"), ENTRIES)
def test_entries_that_do_not_fit_the_rows(
    run: Path, change: Callable[[Any], Any], expected: str
) -> None:
    remade(run, entry=change)
    assert any(expected in line for line in told(run))


def test_a_page_behind_a_checksum_made_anew(run: Path) -> None:
    def flip(name: str, content: bytes) -> bytes:
        if not name.startswith("examples/"):
            return content
        image = pq.read_table(pa.BufferReader(content))["image"][0].as_py()
        at = content.index(image)
        return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]

    remade(run, content=flip)
    assert not RunFolder(str(run)).damage(whole=True)
    (problem,) = checked(run).problems
    assert "damaged Parquet file" in problem.what
    assert checked(run).sound == ()


def test_what_checksums_tell_is_not_told_again_as_missing_rows(parts: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(parts, tmp_path / "run"))
    min((run / "verdicts").iterdir()).unlink()
    found = checked(run)
    (problem,) = found.problems
    assert problem.what == "is missing"
    assert len(found.sound) == 5
    (run / "selection.json").unlink()
    assert "selection.json" in {problem.where for problem in checked(run).problems}


def test_an_unfinished_run_is_sound_as_far_as_it_is(parts: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(parts, tmp_path / "run"))
    last = max((run / "record").iterdir())
    last.unlink()
    found = checked(run)
    assert {problem.what for problem in found.problems} == {"is in no commit"}
    for problem in found.problems:
        (run / problem.where).unlink()
    found = checked(run)
    assert found.problems == []
    assert found.planned == 6
    assert found.done < 6


def test_before_the_examples_are_chosen_nothing_is_asked_of_rows(run: Path) -> None:
    for path in sorted((run / "record").iterdir())[1:]:
        path.unlink()
    for table in ("examples", "verdicts", "traces", "interactions"):
        shutil.rmtree(run / table)
    found = checked(run)
    assert found.problems == []
    assert found.planned is None


def test_a_run_without_a_record_is_refused(run: Path) -> None:
    with pytest.raises(BadInput, match="without a record"):
        checked(as_former(run))


def test_thresholds_and_examples_of_the_manifest_are_the_records(run: Path) -> None:
    def other(entry: Any) -> Any:
        if not isinstance(entry, Chosen):
            return entry
        found = {"t0": {"source": "job", "threshold": 0.5}}
        return Chosen.model_validate(entry.model_dump() | {"thresholds": found})

    remade(run, entry=other)
    assert "manifest.json: has other thresholds than the record" in told(run)
