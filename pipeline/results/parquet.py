"""Rows of a table as Parquet: the same rows give the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gauntlet.pipeline.results.schema import ORDER, TABLES, schema_of

PIXELS = "image"
"""The one column whose values are large, all different, and hardly smaller when compressed."""
PIXEL_ROWS = 64
"""Rows of a group of a table with pixels: what is read to see one image."""
ROWS = 16_384
"""Rows of a group of any other table: what a filter reads at least."""


def rows_of(table: str, unit: str, columns: Mapping[str, Any]) -> pa.Table:
    """Return rows of a table.

    Args:
        table: a name in `TABLES`.
        unit: of work, or what else wrote them.
        columns: one sequence a column, all of the same length, plus scalars that are repeated.
    """
    schema = schema_of(table, columns)
    lengths = {len(v) for v in columns.values() if isinstance(v, list | np.ndarray)}
    (rows,) = lengths
    arrays = []
    for field in schema:
        value = columns[field.name] if field.name != "unit" else unit
        if not isinstance(value, list | np.ndarray):
            value = [value] * rows
        arrays.append(pa.array(value, field.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def whole(table: str, rows: pa.Table) -> pa.Table:
    """Return rows with all columns of a table: what an earlier version did not write is empty."""
    schema = TABLES[table]
    for place, field in enumerate(schema):
        if field.name not in rows.column_names:
            rows = rows.add_column(place, field, pa.nulls(rows.num_rows, field.type))
    return rows


def in_order(table: str, rows: pa.Table) -> pa.Table:
    """Return the rows of a table by `ORDER`; what is empty comes last."""
    return rows.sort_by([(name, "ascending") for name in ORDER[table]])


def encoded(table: str, rows: pa.Table) -> pa.Buffer:
    """Return a Parquet file, with a checksum on every page."""
    sink = pa.BufferOutputStream()
    with writer(table, sink, rows.column_names) as stream:
        stream.write_table(rows, row_group_size=group_rows(table))
    return sink.getvalue()


def writer(table: str, sink: Any, columns: Sequence[str] = ()) -> pq.ParquetWriter:
    """Return what writes row groups of a table, with all of some columns, to an open file."""
    schema = schema_of(table, columns)
    names = [name for name in schema.names if name != PIXELS]
    return pq.ParquetWriter(
        sink,
        schema,
        compression={name: "NONE" if name == PIXELS else "ZSTD" for name in schema.names},
        compression_level=dict.fromkeys(names, 1),
        use_dictionary=names,
        write_statistics=names,
        write_page_checksum=True,
    )


def group_rows(table: str) -> int:
    """Return the most rows of a row group."""
    return PIXEL_ROWS if PIXELS in TABLES[table].names else ROWS
