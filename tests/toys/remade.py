"""Runs changed by somebody who makes the record anew, so that every checksum fits again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gauntlet.pipeline.results import parquet
from gauntlet.pipeline.results.record.entries import Commit, Compacted, digest, line_of, read_line

Rows = Callable[[str, pa.Table], pa.Table]
"""Makes other rows of a table's."""


def remade(
    run: Path,
    rows: Rows = lambda table, rows: rows,
    content: Callable[[str, bytes], bytes] = lambda name, content: content,
    entry: Callable[[Any], Any] = lambda entry: entry,
) -> Path:
    """Change a run's rows, the bytes of its files or its entries; return it."""
    facts: dict[str, dict[str, Any]] = {}
    for path in run.glob("*/*.parquet"):
        table = path.parent.name
        changed = rows(table, pq.read_table(path))
        name = f"{table}/{path.name}"
        path.write_bytes(content(name, parquet.encoded(table, changed).to_pybytes()))
        facts[name] = {
            "rows": changed.num_rows,
            "bytes": path.stat().st_size,
            "checksum": digest(path.read_bytes()),
        }
    before = ""
    for path in sorted((run / "record").iterdir()):
        link, _ = read_line(path.read_bytes())
        said = link.entry
        if isinstance(said, Commit | Compacted):
            files = tuple(file.model_copy(update=facts.get(file.name)) for file in said.files)
            said = said.model_copy(update={"files": files})
        line = line_of(link.model_copy(update={"before": before, "entry": entry(said)}))
        path.write_bytes(line)
        before = read_line(line)[1]
    return run


def column(rows: pa.Table, name: str, change: Callable[[list[Any]], object]) -> pa.Table:
    """Return rows with the list of one column's values changed in place."""
    values = rows[name].to_pylist()
    change(values)
    field = rows.schema.field(name)
    return rows.set_column(rows.column_names.index(name), field, pa.array(values, field.type))
