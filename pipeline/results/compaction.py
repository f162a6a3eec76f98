"""Compaction: the parts of a complete run become few large files, sorted, the same for every run.

New files are staged, durable; one entry of the record puts them in the place of the parts; then
these are deleted and the new ones moved. Whatever is interrupted, each row counts once: before the
entry in the parts, after it in the new files. `settle` finishes or removes what was left.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from gauntlet.pipeline.progress import Progress
from gauntlet.pipeline.results.merging import grouped, levels, merged_by_levels, runs_at_a_time
from gauntlet.pipeline.results.patience import Insist, StorageFailed, once
from gauntlet.pipeline.results.record.chain import Record
from gauntlet.pipeline.results.record.entries import Compacted, TableFile
from gauntlet.pipeline.results.record.mending import settle
from gauntlet.pipeline.results.schema import TABLES
from gauntlet.pipeline.results.sized_files import Sizes, written
from gauntlet.pipeline.results.storage import Storage

STAGE = "compact"
"""What the work is called where its progress is shown."""


@dataclass(frozen=True)
class Change:
    """What compaction made of a table: its files of rows of units of work, and their bytes."""

    table: str
    files: tuple[int, int]
    bytes: tuple[int, int]


@dataclass(frozen=True)
class _Work:
    """A table to compact.

    Attributes:
        table: its name.
        files: those to be merged.
        at_a_time: how many of them at once.
    """

    table: str
    files: tuple[TableFile, ...]
    at_a_time: int

    @property
    def rows(self) -> int:
        """Rows to be written, as often as they are."""
        return self.levels * sum(file.rows for file in self.files)

    @property
    def bytes(self) -> int:
        """Bytes that are needed beside the table: a copy, and one more for longer runs."""
        return min(self.levels, 2) * sum(file.bytes for file in self.files)

    @property
    def levels(self) -> int:
        """How often each row is written."""
        return levels(len(self.files), self.at_a_time)


def compact(
    storage: Storage,
    record: Record,
    progress: Progress,
    sizes: Sizes | None = None,
    insist: Insist = once,
) -> list[Change]:
    """Compact the tables of a run that are not compacted, and for which there is room.

    Rows that are no unit's, and those of units that failed, stay where they are.

    Args:
        storage: the run's files, all sound.
        record: of the run, to be held by this process.
        progress: hears how far it is, and of tables that are left as they are.
        sizes: of the files.
        insist: carries out what writes; may try again.

    Returns:
        What was done, a table at a time; nothing where all was done before.

    Raises:
        OSError: when the record cannot be written, or this process may not.
    """
    insist(lambda: settle(storage, record))
    works = [*_left(storage, record)]
    if works:
        progress.stage(STAGE, sum(work.rows for work in works), "rows")
    done = []
    for work in works:
        room = storage.room()
        if room is not None and room < work.bytes:
            progress.note(
                _left_as_it_is(work, f"{_mega(room)} MB are free, {_mega(work.bytes)} needed")
            )
            continue
        merged = partial(_merged, storage, record, work, progress, sizes or Sizes())
        try:
            files = insist(merged)
        except StorageFailed as error:
            progress.note(_left_as_it_is(work, str(error)))
            break  # what is left to do writes as much
        except OSError as error:
            progress.note(_left_as_it_is(work, str(error.strerror or error)))
            continue
        done.append(_swapped(storage, record, work, files, insist))
    storage.clear()
    return done


def _left(storage: Storage, record: Record) -> Iterator[_Work]:
    for table in TABLES:
        files = [file for file in record.files.values() if file.name.startswith(f"{table}/")]
        files = [f for f in files if f.attacks or (f.units and record.units.keys() >= {*f.units})]
        if all(file.attacks for file in files):
            continue
        widest = max(files, key=lambda file: file.bytes / max(1, file.rows))
        at_a_time = runs_at_a_time(storage, table, storage.located(widest.name))
        yield _Work(table, tuple(files), at_a_time)


def _merged(
    storage: Storage, record: Record, work: _Work, progress: Progress, sizes: Sizes
) -> list[TableFile]:
    """Write the new files of a table where no reader looks; leave none where that fails."""
    files: list[TableFile] = []
    advanced = 0

    def told(rows: int) -> None:
        nonlocal advanced
        advanced += rows
        progress.advance(STAGE, rows)

    def attack_of(unit: str) -> str:
        return record.units[unit].attack

    names = [storage.located(file.name) for file in work.files]
    rows = merged_by_levels(storage, work.table, names, work.at_a_time, told)
    try:
        for file in written(storage, work.table, grouped(work.table, rows), sizes, attack_of):
            told(file.rows)
            files.append(file)
    except OSError:
        progress.advance(STAGE, -advanced)
        with suppress(OSError):  # the first error is the one to be told
            for file in files:
                if file.name not in record.files:
                    storage.discard(file.name)
            settle(storage, record)
        raise
    return files


def _swapped(
    storage: Storage, record: Record, work: _Work, files: list[TableFile], insist: Insist
) -> Change:
    """Let the new files count instead of the old ones."""
    stay = {file.name for file in files}
    gone = tuple(sorted({file.name for file in work.files} - stay))
    record.append(Compacted(files=tuple(files), gone=gone))
    for name in gone:
        insist(partial(storage.discard, name))
    insist(partial(storage.place, stay))
    return Change(
        work.table,
        (len(work.files), len(files)),
        (sum(file.bytes for file in work.files), sum(file.bytes for file in files)),
    )


def _left_as_it_is(work: _Work, why: str) -> str:
    return f"{work.table} stays in {len(work.files):,} files: {why}"


def _mega(size: int) -> str:
    return f"{size / 2**20:,.1f}"
