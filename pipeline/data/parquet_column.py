"""Values of a column of Parquet files by the number of their row; few row groups are in memory."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq


class ParquetColumn:
    """The values of one column of several files, one file after the other.

    Args:
        files: the files.
        name: of the column.

    Raises:
        OSError: when a file cannot be read.
        pyarrow.ArrowException: when it is no Parquet file.
    """

    def __init__(self, files: Sequence[Path], name: str) -> None:
        self._name = name
        groups = [
            (file, group, metadata.row_group(group).num_rows)
            for file in files
            for metadata in [pq.read_metadata(file)]
            for group in range(metadata.num_row_groups)
        ]
        self._groups = [(file, group) for file, group, _ in groups]
        self._starts: list[int] = [0, *accumulate(size for *_, size in groups)]

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, row: int) -> Any:
        """Return the value in a row as a Python object."""
        at = bisect_right(self._starts, row) - 1
        file, group = self._groups[at]
        values = _row_group(file, group, self._name, file.stat().st_mtime_ns)
        return values[row - self._starts[at]].as_py()


@lru_cache(maxsize=4)
def _row_group(file: Path, group: int, name: str, changed: int) -> Any:
    """Return the column in one row group, which is what Parquet reads at once."""
    return pq.ParquetFile(file).read_row_group(group, columns=[name])[name]
