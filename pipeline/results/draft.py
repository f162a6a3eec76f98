"""A file of a table that is written a row group at a time, in memory that does not grow with it."""

from __future__ import annotations

from contextlib import suppress
from types import TracebackType
from typing import IO, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gauntlet.pipeline.results import parquet
from gauntlet.pipeline.results.record.entries import Checksum, TableFile
from gauntlet.pipeline.results.storage import STAGING, Storage


class Draft:
    """Grows under a name that no entry lists, in the staging folder; goes with its context.

    Attributes:
        rows: that it has so far.
        units: of work, whose rows they are.
    """

    def __init__(self, storage: Storage, table: str, name: str) -> None:
        """Begin a file.

        Args:
            storage: the run's files.
            table: a name in `TABLES`.
            name: of the draft, without its folder.
        """
        self.table, self.name = table, f"{STAGING}/{table}/{name}.parquet"
        self.rows, self.units = 0, set[str]()
        self._storage = storage
        self._sink = _Sink(storage.draft(self.name))
        self._writer: pq.ParquetWriter | None = None  # until it is known which columns there are

    @property
    def bytes(self) -> int:
        """Of the row groups so far."""
        return self._sink.bytes

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Where storage fails cleaning up fails, too: what is told is what came first.
        with suppress(*((OSError,) if error is not None else ())):
            self.close()
            self._storage.delete(self.name)

    def write(self, group: pa.Table) -> None:
        """Append a row group: its bytes depend on its rows alone, not on how they lie in memory."""
        if self._writer is None:
            self._writer = parquet.writer(self.table, self._sink, group.column_names)
        self._writer.write_table(group.combine_chunks(), row_group_size=group.num_rows)
        self.rows += group.num_rows
        self.units.update(pc.unique(group["unit"]).to_pylist())

    def close(self) -> None:
        """End the file; what was not closed is torn."""
        try:
            (self._writer or parquet.writer(self.table, self._sink)).close()
        finally:
            self._sink.close()

    def adopted(self, prefix: str = "") -> TableFile:
        """Close the file and give it a name by its content, under which an entry can list it.

        It is staged then, and durable; object stores have it in its place at once.
        """
        self.close()
        checksum = self._sink.checksum.text
        name = f"{self.table}/{prefix}{checksum[:20]}.parquet"
        self._storage.adopt(self.name, f"{STAGING}/{name}" if self._storage.moves else name)
        return TableFile(name=name, rows=self.rows, bytes=self._sink.bytes, checksum=checksum)


class _Sink:
    """Counts and checks what goes to a stream."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.bytes, self.checksum = 0, Checksum()

    @property
    def closed(self) -> bool:
        return self._stream.closed

    def write(self, content: bytes) -> int:
        self._stream.write(content)
        self.checksum.add(content)
        self.bytes += len(content)
        return len(content)

    def tell(self) -> int:
        return self.bytes

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        self._stream.close()
