"""Tables that people write by hand or export: one header in many spellings, problems by line."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gauntlet.pipeline.data.account import first_names
from gauntlet.pipeline.data.found import Found
from gauntlet.pipeline.data.text_file import read_text

Header = tuple[str, ...]

_DELIMITERS = (",", ";", "\t")
_ALSO: dict[str, tuple[str, ...]] = {
    "file": (
        *("filename", "file_name", "filepath", "file_path", "path", "image", "image_path"),
        *("image_name", "imageid", "image_id", "img"),
    ),
    "label": (
        "class",
        "class_id",
        "class_index",
        "true_label",
        "truelabel",
        "synset",
        "predictionstring",
    ),
    "wanted": ("targeted_label", "target_label", "targetclass", "target_class"),
    "index": ("idx",),
    "file_a": ("file1", "image1", "img1", "path1"),
    "file_b": ("file2", "image2", "img2", "path2"),
    "same": ("is_same", "issame"),
}
"""What published files call a column, in lower case."""
_WHOLE = re.compile(r"(\d{1,18})(?:[.,]0*)?", re.ASCII)


@dataclass(frozen=True)
class Row:
    """One row: its place (``file.csv:17``) and its cells in the order of the header."""

    where: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """The wanted columns of a table.

    Attributes:
        header: column names, one of the accepted headers.
        rows: rows with as many cells.
        spelled: the columns as the file names them, in the same order.
    """

    header: Header
    rows: list[Row]
    spelled: Header


@dataclass(frozen=True)
class _Columns:
    """Where the wanted columns stand in a file."""

    header: Header
    places: tuple[int, ...]
    width: int
    delimiter: str | None
    spelled: Header
    headless: bool = False


def read_table(
    path: Path,
    name: str,
    field: str,
    headers: Sequence[Header],
    found: Found,
    headless: Callable[[Header], Header | None] = lambda cells: None,
) -> Table | None:
    """Read a table that has the columns of one of the accepted headers.

    Cells are parted by commas, semicolons or tabs; columns may stand in any order, in other
    people's spellings (``filename``), beside others. Empty rows and repeated headers are no rows.

    Args:
        path: the file.
        name: what to call it in problems: as the job has it.
        field: the job's field that names it, such as ``data.ids``.
        headers: accepted headers; where a file has the columns of several, the longest counts.
        found: takes the problems (no such file, not text, another header, no rows, rows of another
            length) and what is left out.
        headless: gives the header that a first row of data stands for, or None; such a file may
            part its cells by blanks.

    Returns:
        None when the file or its header cannot be used; otherwise the rows that can.
    """
    text = read_text(path, name, field, found)
    if text is None:
        return None
    lines = text.split("\n")
    start = 1 if lines[0].lower().startswith("sep=") else 0
    first = lines[start] if start < len(lines) else ""
    columns = _columns(first, headers) or _headless(first, headless)
    if columns is None:
        expected = " or ".join(repr(",".join(names)) for names in headers)
        shown = ",".join(_split(first, ",", 0) or ())
        found.add(f"{name}:{start + 1}", f"header {shown!r}, expected {expected}")
        return None
    rows: list[Row] = []
    misshapen = False
    try:
        repeated = []
        for number, cells in _cells(lines, start, columns):
            where = f"{name}:{number}"
            if not any(cells):
                continue
            if not columns.headless and _alike(cells, _split(first, columns.delimiter, 0)):
                if number > start + 1:
                    repeated.append(str(number))
                continue
            while len(cells) > columns.width and not cells[-1]:
                cells = cells[:-1]
            if len(cells) != columns.width:
                what = f"{len(cells)} cells, expected {columns.width}"
                found.add(where, what, "{} such lines")
                misshapen = True
                continue
            rows.append(Row(where, tuple(cells[place] for place in columns.places)))
    except csv.Error as error:
        found.add(field, f"{name} cannot be read as CSV in UTF-8: {error}")
        return None
    if not rows and not misshapen:
        found.add(field, f"{name} has a header but no rows")
    if repeated:
        found.note(f"{name} repeats its header at line {first_names(repeated)}: left out")
    _note_columns(name, first, columns, found)
    return Table(columns.header, rows, columns.spelled)


def whole_number(text: str) -> int | None:
    """Return the non-negative integer that a cell states, or None; spreadsheets write ``3.0``."""
    match = _WHOLE.fullmatch(text)
    return int(match[1]) if match else None


def _columns(line: str, headers: Sequence[Header]) -> _Columns | None:
    """Return where the columns of the longest accepted header are."""
    for delimiter in _DELIMITERS:
        given = _split(line.removeprefix("#"), delimiter, 0) or ()
        folded = [cell.lower() for cell in given]
        for header in sorted(headers, key=len, reverse=True):
            places = [_place(column, folded) for column in header]
            if None not in places:
                there = tuple(place for place in places if place is not None)
                spelled = tuple(given[place] for place in there)
                return _Columns(header, there, len(_trimmed(given)), delimiter, spelled)
    return None


def _headless(line: str, headless: Callable[[Header], Header | None]) -> _Columns | None:
    for delimiter in (*_DELIMITERS, None):
        for most in (2, 1):  # names may hold blanks, the last cells don't
            cells = _split(line, delimiter, most)
            header = headless(cells) if cells else None
            if header is not None:
                places = tuple(range(len(header)))
                return _Columns(header, places, len(header), delimiter, header, headless=True)
    return None


def _place(column: str, folded: Sequence[str]) -> int | None:
    for name in (column, *_ALSO.get(column, ())):
        if name in folded:
            return folded.index(name)
    return None


def _trimmed(cells: Header) -> Header:
    while cells and not cells[-1]:
        cells = cells[:-1]
    return cells


def _split(line: str, delimiter: str | None, most: int) -> Header | None:
    """Return the cells of a line; without a delimiter blanks part at most ``most`` from the end."""
    if delimiter is None:
        return tuple(line.rsplit(maxsplit=most))
    try:
        cells = next(csv.reader([line], delimiter=delimiter, strict=True), [])
    except csv.Error:
        return None
    return tuple(cell.strip() for cell in cells)


def _cells(lines: Sequence[str], start: int, columns: _Columns) -> Iterator[tuple[int, Header]]:
    """Yield the line number and cells of each row, the header's among them."""
    if columns.delimiter is None:
        for number, line in enumerate(lines[start:], start + 1):
            yield number, _split(line, None, columns.width - 1) or ()
        return
    body = io.StringIO("\n".join(lines[start:]), newline="")
    reader = csv.reader(body, delimiter=columns.delimiter, strict=True)
    for cells in reader:
        yield start + reader.line_num, tuple(cell.strip() for cell in cells)


def _alike(cells: Header, header: Header | None) -> bool:
    return header is not None and _trimmed(cells) == _trimmed(header)


def _note_columns(name: str, first: str, columns: _Columns, found: Found) -> None:
    if columns.headless:
        found.note(f"{name} has no header: read as {','.join(columns.header)}")
        return
    given = _trimmed(_split(first, columns.delimiter, 0) or ())
    unused = [given[place] for place in range(len(given)) if place not in columns.places]
    if unused:
        found.note(
            f"{name}: columns not used: {first_names([cell or 'unnamed' for cell in unused])}"
        )
