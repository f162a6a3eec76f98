"""A run's record, whole: files, entries, plan, units, and every row that the units made."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import JsonValue

from gauntlet.pipeline.models.sources.permission import Permission
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.progress import Progress
from gauntlet.pipeline.results import parquet, records
from gauntlet.pipeline.results.lock import is_held
from gauntlet.pipeline.results.record.chain import Record
from gauntlet.pipeline.results.record.damage import by_units, examine, units_in
from gauntlet.pipeline.results.record.entries import TableFile, digest_of
from gauntlet.pipeline.results.run_folder import RunFolder
from gauntlet.pipeline.results.schema import TABLES
from gauntlet.pipeline.run.plan import PRECISION, Plan, recorded
from gauntlet.pipeline.run.rows.thresholds import threshold_columns
from gauntlet.pipeline.run.standing import given_up
from gauntlet.pipeline.run.verifying.rows import LOST, Excuses, TableRows
from gauntlet.pipeline.run.verifying.units import PlannedUnits

STAGE = "read"
"""What the work is called where its progress is shown."""

MOST_STEPS = 10_000
"""Updates of an attack, each of which may have rows of every example."""
RECORD, FILES, UNITS = "record", "files", "units"
"""What is checked beside the tables."""


@dataclass
class Checked:
    """What was found.

    Attributes:
        location: of the run.
        files: that count.
        bytes: in them.
        rows: that were read, by table.
        planned: units that the plan makes; None where that is unknown.
        done: units that are done.
        failed: units that were given up.
        running: whether a driver is at work, so that this was the run at one moment of many.
        faults: what is wrong, by what was checked.
        fatal: why `resume` would not go on, and what can be done; empty if it would.
        sound: the units whose files are all as they were written.
    """

    location: str
    files: int = 0
    bytes: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    planned: int | None = None
    done: int = 0
    failed: int = 0
    running: bool = False
    faults: dict[str, list[Problem]] = field(default_factory=dict)
    fatal: str = ""
    sound: tuple[str, ...] = ()

    @property
    def problems(self) -> list[Problem]:
        """All that is wrong."""
        return [problem for found in self.faults.values() for problem in found]

    def add(self, what: str, where: str, wrong: str) -> None:
        """Note something that is wrong."""
        self.faults.setdefault(what, []).append(Problem(where, wrong))


def check(folder: RunFolder, progress: Progress, permission: Permission | None = None) -> Checked:
    """Compare everything in a run's folder with its record, and every row with its unit.

    Each file is read twice: as bytes, for its checksum, and as rows, for those of its pages. Of the
    rows only bits are held: which were met.

    Args:
        folder: the run's.
        progress: hears how far it is.
        permission: as of `gauntlet.pipeline.run.plan.plan_of`.

    Raises:
        BadInput: when there is no record, or this version does not know its plan or format.
        OSError: when the folder cannot be read.
    """
    record = Record.read(folder)
    if record is None:
        raise BadInput(Problem(folder.location, records.FORMER))
    found = Checked(folder.location, running=is_held(folder))
    found.files, found.done = len(record.files), len(record.units)
    found.bytes = sum(file.bytes for file in record.files.values())
    found.failed = len(given_up(record))
    damage = examine(folder, record, lambda name: True, found.running)
    found.fatal = damage.fatal
    for where, wrong in damage.wrong():
        found.add(FILES if where.partition("/")[0] in (*TABLES, "_parts") else RECORD, where, wrong)
    if damage.fatal or record.chosen is None or damage.chosen:
        return found
    plan = recorded(folder, record, permission)
    if any(attack.steps > MOST_STEPS for attack in plan.attacks):
        what = f"its plan has an attack of more than {MOST_STEPS:,} steps: too many to be compared"
        raise BadInput(Problem(folder.location, what))
    for where, wrong in _of_the_record(folder, record, plan):
        found.add(RECORD, where, wrong)
    ids = records.selection(folder)
    if not ids:
        raise BadInput(Problem(folder.location, "its record holds no example"))
    units = PlannedUnits(plan, record, ids)
    found.planned = len(units)
    for wrong in units.faults():
        found.add(UNITS, UNITS, wrong)
    if len({*ids}) < len(ids):
        found.add(RECORD, "selection.json", "has an example twice")
        return found
    dark = {*damage.units}
    progress.stage(STAGE, sum(file.rows for file in record.files.values()), "rows")
    _check_rows(_Reading(folder, record, {*damage.files}, found, dark, progress), plan, units)
    found.sound = tuple(unit for unit in record.units if unit in units.number and unit not in dark)
    return found


@dataclass
class _Reading:
    """The sound files of a run, read to their ends."""

    folder: RunFolder
    record: Record
    damaged: set[str]
    found: Checked
    dark: set[str]
    progress: Progress

    def batches(self, table: str) -> Iterator[tuple[TableFile, pa.RecordBatch]]:
        """Yield the rows of a table; files that cannot be read are noted, and their units dark."""
        for name, file in sorted(self.record.files.items()):
            if not name.startswith(f"{table}/") or name in self.damaged:
                continue
            rows = 0
            try:
                for batch in self.folder.batches(name, table, self.folder.columns(table)):
                    rows += batch.num_rows
                    self.progress.advance(STAGE, batch.num_rows)
                    yield file, batch
            except BadInput as error:
                self.found.add(FILES, name, error.problems[0].what)
                self.dark |= units_in(self.record, name)
                continue
            if rows != file.rows:
                self.found.add(FILES, name, f"has {rows:,} rows, its commit says {file.rows:,}")


def _check_rows(reading: _Reading, plan: Plan, units: PlannedUnits) -> None:
    """Compare the rows of every table with the units."""
    found, excuses = reading.found, Excuses(plan, units)
    found.rows["failures"] = 0
    strange = 0
    for file, batch in reading.batches("failures"):
        found.rows["failures"] += batch.num_rows
        excuses.take(batch)
        if by_units(file):
            made = [unit in reading.record.units for unit in batch["unit"].to_pylist()]
            gave_up = [stage == "unit" for stage in batch["stage"].to_pylist()]
            strange += sum(map(operator.eq, made, gave_up))
    if strange:
        found.add("failures", "failures", f"{strange:,} rows of units that are not as they say")
    if plan.task.kind.embeds:
        found.rows["thresholds"] = _check_thresholds(reading, plan)
    for table in TABLES:
        if table in ("failures", "thresholds"):  # whose rows are not those of units alone
            continue
        rows = TableRows(table, plan, units)
        for file, batch in reading.batches(table):
            rows.take(file, batch)
        found.rows[table] = rows.rows
        dark = np.zeros(units.done.size, bool)
        dark[[units.number[unit] for unit in reading.dark if unit in units.number]] = True
        for where, wrong in rows.faults(excuses, dark.reshape(units.done.shape)):
            found.add(table, where, wrong)
    for attack, spec in enumerate(plan.attacks):
        lost = excuses.of(LOST, attack)
        for number, done in units.finished(attack):
            if (count := int(np.count_nonzero(lost[units.cut[number]]))) != done.lost:
                first = units.ids[units.cut[number].start]
                what = f"attack {spec.label!r}: its unit from {first!r} lost {count:,} examples"
                found.add("failures", "failures", f"{what}, its commit says {done.lost:,}")


def _check_thresholds(reading: _Reading, plan: Plan) -> int:
    """Compare the table of thresholds with those of the record; return its rows."""
    table, found = "thresholds", [batch for _, batch in reading.batches("thresholds")]
    if found:
        assert reading.record.thresholds is not None
        targets = [spec.name for spec in plan.targets]
        columns = threshold_columns(targets, reading.record.thresholds)
        expected = parquet.rows_of(table, "", columns) if columns else TABLES[table].empty_table()
        rows = parquet.in_order(table, pa.Table.from_batches(found))
        if not rows.equals(parquet.in_order(table, expected)):
            reading.found.add(table, table, "has other thresholds than the record")
    return sum(batch.num_rows for batch in found)


def _of_the_record(folder: RunFolder, record: Record, plan: Plan) -> Iterator[tuple[str, str]]:
    """Yield what the record and the manifest say that does not fit the plan."""
    assert record.begun is not None
    assert record.chosen is not None
    for number, content in enumerate(record.plans):
        if digest_of(_what(content)) != record.begun.digest:
            which = "that the run began with" if number == 0 else "that it was changed to"
            yield "record", f"the plan {which} is another one than its digest says"
    try:
        manifest = records.manifest(folder)
    except BadInput as error:
        yield "manifest.json", error.problems[0].what
        return
    if manifest.thresholds != record.chosen.thresholds:
        yield "manifest.json", "has other thresholds than the record"
    if [attack.attack for attack in manifest.attacks] != [spec.label for spec in plan.attacks]:
        yield "manifest.json", "has other attacks than the plan"


def _what(plan: dict[str, JsonValue]) -> dict[str, Any]:
    """Return what of a plan determines the rows, as the version that wrote it had it."""
    resources = plan.get("resources")
    kept = {name: plan[name] for name in plan if name not in ("name", "root", "resources")}
    if isinstance(resources, dict):
        kept["resources"] = {name: resources[name] for name in PRECISION if name in resources}
    return kept
