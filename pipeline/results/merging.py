"""Merging sorted files of a table in bounded memory: row groups in, row groups out."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from gauntlet.pipeline.results import parquet
from gauntlet.pipeline.results.draft import Draft
from gauntlet.pipeline.results.schema import ORDER
from gauntlet.pipeline.results.storage import Storage

MEMORY = 2**27
"""Bytes of rows that one merge holds; sorting them, and the rows before, take as much again."""
RUNS = 64
"""Files that are merged at a time, at most."""

Key = tuple[tuple[bool, Any], ...]
"""Of a row: what is empty comes last."""


class Sorted:
    """A sorted file, read a row group at a time, as a context."""

    def __init__(self, storage: Storage, table: str, name: str) -> None:
        """Open a file.

        Args:
            storage: the run's files.
            table: a name in `TABLES`.
            name: under which the file lies.

        Raises:
            OSError: when it cannot be read.
        """
        self._table, self._order = table, ORDER[table]
        self._source = storage.opened(name)
        # A row group at a time: on object stores in few requests, not in one a column.
        self._file = pq.ParquetFile(
            self._source, pre_buffer=not storage.moves, page_checksum_verification=True
        )
        self._left = iter(range(self._file.num_row_groups))
        self._row = 0
        self._first: Key = ()
        self.last: Key = ()
        self.window: pa.Table = self._file.schema_arrow.empty_table()
        self._read_on()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._source.close()

    @property
    def ended(self) -> bool:
        """Whether no row is left."""
        return self._row == len(self.window)

    def upto(self, cut: Key) -> pa.Table:
        """Take the rows in the window whose keys are not beyond one."""
        begin, rows = self._row, self.window.num_rows
        if self._first <= cut:
            self._row = bisect_right(range(rows), cut, lo=begin, key=self._key)
        taken = self.window.slice(begin, self._row - begin)
        if self.ended:
            self._read_on()
        elif taken.num_rows:
            self._first = self._key(self._row)
        return taken

    def _read_on(self) -> None:
        """Read the next row group that has rows: the window."""
        for number in self._left:
            self.window = parquet.whole(self._table, self._file.read_row_group(number))
            if self.window.num_rows:
                break
        else:
            self.window = parquet.whole(self._table, self._file.schema_arrow.empty_table())
        self._row = 0
        self._columns = [self.window[name].combine_chunks() for name in self._order]
        if not self.ended:
            self._first, self.last = self._key(0), self._key(self.window.num_rows - 1)

    def _key(self, row: int) -> Key:
        return _key(self._columns, row)


def merged(storage: Storage, table: str, names: Sequence[str]) -> Iterator[pa.Table]:
    """Yield the rows of sorted files in one order, in pieces of any size.

    Raises:
        OSError: when a file cannot be read.
        ValueError: when a file is not sorted.
    """
    with ExitStack() as stack:
        runs = [stack.enter_context(Sorted(storage, table, name)) for name in names]
        before: Key = ()
        while runs := [run for run in runs if not run.ended]:
            cut = min(run.last for run in runs)
            taken = [run.upto(cut) for run in runs]
            pieces = [piece for piece in taken if piece.num_rows]
            piece = _sorted(table, pieces) if len(pieces) > 1 else (pieces or taken)[0]
            if not piece.num_rows or _key([piece[name] for name in ORDER[table]], 0) < before:
                raise ValueError(f"{table}: a file is not sorted")
            before = cut
            del taken, pieces  # whole windows, of which these are parts
            yield piece


def runs_at_a_time(storage: Storage, table: str, largest: str) -> int:
    """Return how many files can be merged in the memory that a merge may take.

    Args:
        storage: the run's files.
        table: a name in `TABLES`.
        largest: of the files, that with most bytes a row.

    Raises:
        OSError: when it cannot be read.
    """
    with Sorted(storage, table, largest) as run:
        size: int = run.window.nbytes
    return max(2, min(RUNS, MEMORY // max(1, size)))


def levels(files: int, at_a_time: int) -> int:
    """Return how often a row is read and written when files are merged into one order."""
    count = 1
    while files > at_a_time:
        files, count = -(-files // at_a_time), count + 1
    return count


def merged_by_levels(
    storage: Storage,
    table: str,
    names: Sequence[str],
    at_a_time: int,
    told: Callable[[int], None] = lambda rows: None,
) -> Iterator[pa.Table]:
    """Yield the rows of sorted files in one order, however many there are.

    More than can be merged at a time are first merged into fewer, longer ones, beside the staged
    files; a file of these goes as soon as its rows are in a longer one.

    Args:
        storage: the run's files.
        table: a name in `TABLES`.
        names: under which the files lie.
        at_a_time: how many are merged at a time.
        told: hears how many rows more were written to a longer file.

    Raises:
        OSError: when a file cannot be read, or a longer one not be written.
        ValueError: when a file is not sorted.
    """
    sources, ours, level = [*names], set[str](), 0
    while len(sources) > at_a_time:
        longer: list[str] = []
        for begin in range(0, len(sources), at_a_time):
            some = sources[begin : begin + at_a_time]
            draft = Draft(storage, table, f"merging-{level}-{len(longer)}")
            try:
                for group in grouped(table, merged(storage, table, some)):
                    draft.write(group)
                    told(group.num_rows)
            finally:
                draft.close()
            longer.append(draft.name)
            for name in ours.intersection(some):
                storage.delete(name)
        sources, ours, level = longer, {*longer}, level + 1
    yield from merged(storage, table, sources)
    for name in ours:
        storage.delete(name)


def grouped(table: str, pieces: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield the rows of pieces in groups that depend on the rows alone."""
    size = parquet.group_rows(table)
    waiting: list[pa.Table] = []
    count = 0
    for piece in pieces:
        waiting.append(piece)
        count += piece.num_rows
        if count < size:
            continue
        rows = pa.concat_tables(waiting)
        for begin in range(0, count - size + 1, size):
            yield rows.slice(begin, size)
        waiting, count = [rows.slice(count - count % size)], count % size
    if count:
        yield pa.concat_tables(waiting)


def _sorted(table: str, pieces: Sequence[pa.Table]) -> pa.Table:
    return parquet.in_order(table, pa.concat_tables(pieces))


def _key(columns: Sequence[Any], row: int) -> Key:
    values = (column[row].as_py() for column in columns)
    return tuple((value is None, value) for value in values)
