"""CSV files that people write by hand: read strictly, with problems by line."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.data.findings import Found


@dataclass(frozen=True)
class Row:
    """One row: its place (``file.csv:17``) and its cells in the order of the header."""

    where: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A CSV file.

    Attributes:
        header: column names, one of the accepted headers.
        rows: rows with as many cells.
    """

    header: tuple[str, ...]
    rows: list[Row]


def read_table(
    path: Path, name: str, field: str, headers: Sequence[tuple[str, ...]], found: Found
) -> Table | None:
    """Read a CSV file that has one of the accepted headers.

    Args:
        path: the file.
        name: what to call it in problems: as the job has it.
        field: the job's field that names it, such as ``data.ids``.
        headers: accepted headers.
        found: takes the problems: no such file, not text, another header, no rows, rows of another
            length.

    Returns:
        None when the file or its header cannot be used; otherwise the rows that can.
    """
    if not path.is_file():
        found.add(field, f"no such file: {path}")
        return None
    rows: list[Row] = []
    misshapen = False
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = tuple(cell.strip() for cell in next(reader, []))
            if header not in headers:
                expected = " or ".join(repr(",".join(columns)) for columns in headers)
                found.add(f"{name}:1", f"header {','.join(header)!r}, expected {expected}")
                return None
            for cells in reader:
                if not cells:
                    continue
                where = f"{name}:{reader.line_num}"
                if len(cells) != len(header):
                    found.add(where, f"{len(cells)} cells, expected {len(header)}")
                    misshapen = True
                    continue
                rows.append(Row(where, tuple(cell.strip() for cell in cells)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        found.add(field, f"{name} cannot be read as CSV in UTF-8: {error}")
        return None
    if not rows and not misshapen:
        found.add(field, f"{name} has a header but no rows")
    return Table(header, rows)


def whole_number(text: str) -> int | None:
    """Return the non-negative integer that a cell states, or None."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
