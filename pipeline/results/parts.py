"""Parts of tables: rows of many units of work, written together once there are enough of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa

from gauntlet.pipeline.results import parquet
from gauntlet.pipeline.results.record.entries import TableFile, UnitDone, digest
from gauntlet.pipeline.results.storage import STAGING, Storage


@dataclass(frozen=True)
class Receipt:
    """Files that wait for the commit that makes them count.

    Attributes:
        files: at most one a table.
        units: those whose rows are all in these files.
        contents: the files' by name, where who wrote them could not stage them.
    """

    files: tuple[TableFile, ...]
    units: Mapping[str, UnitDone]
    contents: Mapping[str, bytes] = field(default_factory=dict)


class Parts:
    """Buffers the rows of finished units; any thread may add some.

    All tables are written together, so that a unit is in one part of each and what is lost with a
    process is whole units.

    Args:
        storage: the run's files; None where they are out of reach, and receipts hold the contents.
        most: bytes of rows, before they are encoded, by which a part is due.
        longest: seconds that a row waits before a part is due.
        told: hears of what was written.
        insist: carries out what `add` writes; may try again, and whoever adds rows waits for it.
    """

    def __init__(
        self,
        storage: Storage | None,
        most: int,
        longest: float,
        told: Callable[[Receipt], None],
        insist: Callable[[Callable[[], None]], None] = lambda act: act(),
    ) -> None:
        self._storage, self._most, self._longest, self._told = storage, most, longest, told
        self._insist = insist
        # By unit, and nothing beside it, so that an interrupt leaves a unit in whole or not at all.
        self._waiting: dict[str, _Made] = {}
        self._since = 0.0
        self._filling, self._writing = threading.Lock(), threading.Lock()

    def add(self, unit: str, done: UnitDone, tables: Mapping[str, Mapping[str, Any]]) -> None:
        """Take a unit's rows in, and write what is due.

        Args:
            unit: id of the unit.
            done: for the commit.
            tables: columns by table, as `parquet.rows_of` takes them; empty ones are passed over.

        Raises:
            OSError: when a part cannot be written; its rows wait still.
        """
        made = {
            name: parquet.rows_of(name, unit, columns)
            for name, columns in tables.items()
            if columns
        }
        with self._filling:
            if unit in self._waiting:
                return  # a second try, of a unit whose first was not heard of
            if not self._waiting:
                self._since = time.monotonic()
            self._waiting[unit] = _Made(done, made)
        self._insist(self.write_if_due)

    def write_if_due(self) -> None:
        """Write a part where it is full, or where its first row has waited long enough.

        Raises:
            OSError: as `add`.
        """
        with self._writing:  # whoever comes while a part is written waits: rows do not pile up
            with self._filling:
                waited = time.monotonic() - self._since
                size = sum(made.bytes for made in self._waiting.values())
                due = self._waiting and (size >= self._most or waited >= self._longest)
            if due:
                self._write()

    def write(self) -> None:
        """Write all rows that wait.

        Raises:
            OSError: as `add`.
        """
        with self._writing:
            self._write()

    def _write(self) -> None:
        with self._filling:
            taken = dict(self._waiting)
        if not taken:
            return
        units = {unit: made.done for unit, made in taken.items()}
        files: list[TableFile] = []
        contents = {}
        for table in dict.fromkeys(name for made in taken.values() for name in made.tables):
            rows = [made.tables[table] for made in taken.values() if table in made.tables]
            file, content = part(table, pa.concat_tables(rows), tuple(units))
            files.append(file)
            if self._storage is None:
                contents[file.name] = content.to_pybytes()
            else:
                stage(self._storage, file.name, content)
        with self._filling:
            self._waiting = {
                unit: made for unit, made in self._waiting.items() if unit not in taken
            }
            self._since = time.monotonic()
        self._told(Receipt(tuple(files), units, contents))


@dataclass(frozen=True)
class _Made:
    """A finished unit whose rows wait."""

    done: UnitDone
    tables: Mapping[str, pa.Table]

    @cached_property
    def bytes(self) -> int:
        return sum(rows.nbytes for rows in self.tables.values())


def part(table: str, rows: pa.Table, units: tuple[str, ...]) -> tuple[TableFile, pa.Buffer]:
    """Return rows as a file, in the table's order.

    Its name is its content's: a part that is made twice is one file.
    """
    content = parquet.encoded(table, parquet.in_order(table, rows))
    checksum = digest(content)
    file = TableFile(
        name=f"{table}/{checksum[:20]}.parquet",
        rows=rows.num_rows,
        bytes=content.size,
        checksum=checksum,
        units=units,
    )
    return file, content


def stage(storage: Storage, name: str, content: pa.Buffer | bytes) -> None:
    """Put a file where it waits for its commit, synced.

    Raises:
        OSError: when it cannot be written.
    """
    storage.write(f"{STAGING}/{name}", content, durable=True)
