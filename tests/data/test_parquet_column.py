from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from gauntlet.pipeline.data import parquet_column
from gauntlet.pipeline.data.parquet_column import ParquetColumn


def test_rows_are_numbered_over_files_and_few_groups_are_held(tmp_path: Path) -> None:
    files = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    for number, file in enumerate(files):
        values = [f"{number}-{row}" for row in range(10)]
        pq.write_table(pa.table({"name": values, "other": values}), file, row_group_size=3)
    column = ParquetColumn(files, "name")
    assert len(column) == 20
    assert [column[row] for row in range(20)] == [f"{n}-{row}" for n in (0, 1) for row in range(10)]
    assert parquet_column._row_group.cache_info().currsize <= 4  # of eight


def test_a_file_that_was_written_anew_is_read_anew(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table({"name": ["before"]}), file)
    assert ParquetColumn([file], "name")[0] == "before"
    pq.write_table(pa.table({"name": ["after!"]}), file)
    assert ParquetColumn([file], "name")[0] == "after!"
