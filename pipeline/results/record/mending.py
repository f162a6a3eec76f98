"""Mending a run: what does not count goes, and what is missing then is for the run to do again."""

from __future__ import annotations

from collections.abc import Iterator, Set

import pyarrow as pa
import pyarrow.compute as pc

from gauntlet.pipeline.results.draft import Draft
from gauntlet.pipeline.results.merging import grouped, merged
from gauntlet.pipeline.results.record.chain import Record
from gauntlet.pipeline.results.record.damage import Damage
from gauntlet.pipeline.results.record.entries import Repair, TableFile
from gauntlet.pipeline.results.schema import TABLES
from gauntlet.pipeline.results.storage import STAGING, Storage


def mend(storage: Storage, record: Record, damage: Damage) -> None:
    """Take out of a run what does not count.

    Rows of units that are done again go from every file, and so do those of units that failed:
    they are tried again. A file that has others, too, is written anew without them; until the
    entry that says so, the old one counts.

    Raises:
        OSError: when the run cannot be written.
    """
    for name in damage.unlisted:  # first: what is made anew below may have the same name
        storage.delete(name)
    done = record.units.keys() - damage.units
    gone: set[str] = {*damage.gone}
    instead: list[TableFile] = []
    for name in sorted(damage.partly):
        if _strange(storage, name, done):
            gone.add(name)
            instead += _without(storage, record, record.files[name], done)
    if gone or damage.units or damage.entries:
        record.append(
            Repair(
                files=tuple(sorted(gone)),
                units=tuple(sorted(damage.units)),
                entries=tuple(damage.entries),
                instead=tuple(instead),
            )
        )
    for name in gone - record.files.keys():
        storage.discard(name)
    if damage.chosen or "failures/select.parquet" in gone:
        storage.delete("selection.json")  # choosing again reports again
    settle(storage, record)


def settle(storage: Storage, record: Record) -> None:
    """Empty the staging folder: files that count get their place, others go.

    Raises:
        OSError: when the run cannot be written.
    """
    for table in TABLES:
        placed = storage.sizes(table).keys()
        staged = storage.staged(table).keys()
        for name in staged:
            if name in placed or name not in record.files:
                storage.delete(f"{STAGING}/{name}")
        storage.place(staged & record.files.keys() - placed)


def _strange(storage: Storage, name: str, done: Set[str]) -> bool:
    """Return whether a file has rows of other units than some."""
    return any(not done >= {*pc.unique(rows["unit"]).to_pylist()} for rows in _read(storage, name))


def _without(
    storage: Storage, record: Record, file: TableFile, done: Set[str]
) -> Iterator[TableFile]:
    """Write a file's rows of some units anew, if there are any, and yield the new file."""
    table = file.name.partition("/")[0]

    def kept() -> Iterator[pa.Table]:
        for rows in _read(storage, file.name):
            units = pc.unique(rows["unit"]).to_pylist()
            kept = pa.array([unit for unit in units if unit in done], pa.string())
            yield rows.filter(pc.is_in(rows["unit"], kept))

    with Draft(storage, table, "mending") as draft:
        for rows in grouped(table, kept()):
            draft.write(rows)
        if draft.rows:
            of = {"units": tuple(unit for unit in file.units if unit in done)}
            if file.attacks:
                of = {"attacks": tuple(sorted({record.units[u].attack for u in draft.units}))}
            yield draft.adopted().model_copy(update=of)


def _read(storage: Storage, name: str) -> Iterator[pa.Table]:
    return merged(storage, name.partition("/")[0], [storage.located(name)])
