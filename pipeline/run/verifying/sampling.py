"""Some units of a run done once more, and their rows compared with the recorded ones."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from gauntlet.pipeline.data.examples import Examples, open_examples
from gauntlet.pipeline.evaluation.gallery import Gallery
from gauntlet.pipeline.models.build import own_code
from gauntlet.pipeline.models.sources.permission import Permission
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.progress import Progress, Silent
from gauntlet.pipeline.results import parquet, records
from gauntlet.pipeline.results.manifest import Manifest
from gauntlet.pipeline.results.record.chain import Record
from gauntlet.pipeline.results.record.damage import units_in
from gauntlet.pipeline.results.record.entries import UnitDone
from gauntlet.pipeline.results.run_folder import RunFolder
from gauntlet.pipeline.results.schema import TABLES, schema_of
from gauntlet.pipeline.run.evaluator import Evaluator
from gauntlet.pipeline.run.gallery import find_gallery
from gauntlet.pipeline.run.local import LocalEngine
from gauntlet.pipeline.run.order import Order
from gauntlet.pipeline.run.plan import Plan, recorded
from gauntlet.pipeline.run.unit import BatchWork, Tables, Unit, UnitRows
from gauntlet.pipeline.run.verifying.circumstances import circumstances
from gauntlet.pipeline.run.verifying.comparing import compare
from gauntlet.pipeline.run.verifying.units import PlannedUnits

STAGE = "compute again"
"""What the work is called where its progress is shown."""
SHOWN = 3
"""Examples, or models, that a line names."""


@dataclass(frozen=True)
class Compared:
    """A unit that was done once more.

    Attributes:
        unit: its id.
        attack: label of its attack.
        examples: in its batch.
        images: that were compared.
        changed: of these, those that are not equal to the byte.
        largest: difference between two measured numbers.
        faults: what differs.
    """

    unit: str
    attack: str
    examples: int
    images: int
    changed: int
    largest: float
    faults: tuple[str, ...]


@dataclass(frozen=True)
class Recomputed:
    """What came of a sample.

    Attributes:
        units: that were done once more.
        of: units that could have been drawn.
        circumstances: in what this process is another than those of the run, in words.
    """

    units: tuple[Compared, ...]
    of: int
    circumstances: tuple[str, ...]

    @property
    def faults(self) -> list[Problem]:
        """All that differs."""
        return [
            Problem(f"unit {unit.unit} ({unit.attack})", fault)
            for unit in self.units
            for fault in unit.faults
        ]


def drawn(units: Sequence[str], count: int, key: int) -> list[str]:
    """Return some units, the same ones for a key: a larger sample has the smaller ones in it."""

    def rank(unit: str) -> bytes:
        return hashlib.blake2b(f"{key}\x1f{unit}".encode(), digest_size=16).digest()

    return sorted(units, key=rank)[:count]


def recompute(
    folder: RunFolder,
    sound: Sequence[str],
    count: int,
    key: int,
    permission: Permission,
    progress: Progress,
) -> Recomputed:
    """Do some units once more, in this process, and compare their rows with the recorded ones.

    Args:
        folder: the run's, whose record is sound as far as these units go.
        sound: units to draw from.
        count: how many to draw.
        key: which ones.
        permission: the code of the person's that an `import:` may run.
        progress: hears how far it is.

    Raises:
        BadInput: when models or data cannot be had here, or are others than the run's.
        OSError: when the run cannot be read.
    """
    record = Record.read(folder)
    assert record is not None
    plan, manifest = recorded(folder, record, permission), records.manifest(folder)
    sample = drawn(sound, count, key)
    by_size: dict[int, list[str]] = {}
    for unit in sample:
        by_size.setdefault(_rows_per_pass(plan, record.units[unit]), []).append(unit)
    progress.stage(STAGE, len(sample), "units")
    own_code((*plan.surrogates, *plan.targets), plan.root, plan.task.kind, permission)
    examples = open_examples(plan.data, plan.task.goal, root=plan.root, seed=plan.seed)
    again = _Again(folder, record, plan, manifest, examples)
    done: dict[str, Compared] = {}
    found: tuple[str, ...] = ()
    for size, units in by_size.items():
        engine = LocalEngine(again.in_passes_of(size), "verified", permission, checked=True)
        try:
            again.refuse_other_models(engine)
            found = circumstances(manifest, engine.cards, len(record.plans) > 1)
            for unit in sorted(units, key=again.units.number.__getitem__):
                done[unit] = again.compared(unit, engine)
                progress.advance(STAGE, 1)
        finally:
            engine.close()
    return Recomputed(tuple(done[unit] for unit in sample), len(sound), found)


class _Again:
    """The run's data and plan, opened once more."""

    def __init__(
        self,
        folder: RunFolder,
        record: Record,
        plan: Plan,
        manifest: Manifest,
        examples: Examples,
    ) -> None:
        self._folder, self._record, self._plan = folder, record, plan
        self._manifest, self._examples = manifest, examples
        ids = records.selection(folder)
        self.units, self._chosen = PlannedUnits(plan, record, ids), examples.positions(ids)
        self._batches: dict[range, BatchWork] = {}

    def in_passes_of(self, rows: int) -> Plan:
        """Return the plan for this process: as many threads as the run had, where it says."""
        resources = self._plan.resources
        threads = {card.threads for card in self._manifest.models.values()}
        update: dict[str, object] = {"rows_per_pass": rows}
        if resources.threads == "auto" and len(threads) == 1 and None not in threads:
            update["threads"] = threads.pop()
        return self._plan.model_copy(update={"resources": resources.model_copy(update=update)})

    def refuse_other_models(self, engine: LocalEngine) -> None:
        """Refuse models with other weights than the run's.

        Raises:
            BadInput: with their names.
        """
        before = self._manifest.models
        other = [
            key
            for key, card in engine.cards.items()
            if key in before and before[key].fingerprint != card.fingerprint
        ]
        if other:
            what = (
                f"cannot be computed again: {', '.join(other[:SHOWN])} changed since; put the old "
                "checkpoint back"
            )
            raise BadInput(Problem(self._folder.location, what))

    def compared(self, unit: str, engine: LocalEngine) -> Compared:
        """Do a unit once more and compare."""
        rows, number = self.units.place(unit)
        before = self._record.units[unit]
        attack = self._plan.attacks[number]
        assert self._record.thresholds is not None
        plan = self.in_passes_of(_rows_per_pass(self._plan, before))
        gallery = self._gallery_of(engine)
        evaluator = Evaluator(plan, engine, self._record.thresholds, gallery)
        places = tuple(self._chosen[rows.start : rows.stop].tolist())
        ids = tuple(self.units.ids[rows.start : rows.stop])
        work = BatchWork(self._examples, evaluator, Order(places, ids, {}, before.left_out))
        made = Unit(unit, attack, work, reports=number == 0)
        tables, now = UnitRows(plan, engine, evaluator).of(made)
        faults = [
            f"{name}: {then} then, {here} now"
            for name, then, here in (
                ("verdicts", before.rows, now.rows),
                ("examples lost", before.lost, now.lost),
                ("examples left out", len(before.left_out), len(now.left_out)),
            )
            if then != here
        ]
        computed = {table: recorded_as(table, unit, tables) for table in TABLES}
        found = [
            compare(table, self._recorded(table, unit, attack.label, rows.column_names), rows)
            for table, rows in computed.items()
        ]
        faults += [fault for part in found for fault in part.faults]
        return Compared(
            unit=unit,
            attack=attack.label,
            examples=len(ids),
            images=sum(part.images for part in found),
            changed=sum(part.changed for part in found),
            largest=max(part.largest for part in found),
            faults=tuple(faults),
        )

    def _gallery_of(self, engine: LocalEngine) -> Gallery | None:
        """Return the gallery of a run by rank; embeddings that are known are not made again."""
        found = find_gallery(self._plan, self._examples, engine, Silent())
        if found is None:
            return None
        if found.record != self._manifest.gallery:
            what = "cannot be computed again: the images of the gallery are others than the run's"
            raise BadInput(Problem(self._folder.location, what))
        return found.gallery

    def _recorded(self, table: str, unit: str, attack: str, names: Sequence[str]) -> pa.Table:
        """Return the rows that the run has of a unit, some columns of theirs, in order."""
        where = pc.field("unit") == unit
        if table != "failures":  # whose row groups no attack tells apart
            where &= pc.field("attack") == attack
        files = (
            name
            for name in sorted(self._record.files)
            if name.startswith(f"{table}/") and unit in units_in(self._record, name)
        )
        found = [rows for name in files for rows in self._folder.batches(name, table, names, where)]
        schema = found[0].schema if found else schema_of(table, names)
        return parquet.in_order(table, pa.Table.from_batches(found, schema))


def recorded_as(table: str, unit: str, tables: Tables) -> pa.Table:
    """Return a unit's rows of a table as they would be recorded."""
    columns = tables.get(table)
    if not columns:
        return TABLES[table].empty_table()
    return parquet.in_order(table, parquet.rows_of(table, unit, columns))


def _rows_per_pass(plan: Plan, done: UnitDone) -> int:
    """Return the most image views of a forward pass that a unit was done with."""
    own: int | None = getattr(done, "rows_per_pass", None)
    return plan.resources.rows_per_pass if own is None else own
