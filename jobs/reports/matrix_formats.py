"""A matrix as CSV, Markdown, LaTeX and JSON, with nothing else beside it."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from itertools import groupby
from typing import Any, Literal, get_args

import pandas as pd

from gauntlet.jobs.reports.marks import BEST, LEVEL
from gauntlet.jobs.reports.matrix import Cell, Matrix
from gauntlet.jobs.reports.matrix_text import DASH, words
from gauntlet.jobs.reports.plain_text import one_line, spreadsheet_cell
from gauntlet.pipeline.problems import BadInput, Problem, suggest

Format = Literal["csv", "markdown", "latex", "json"]

_LATEX = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}  # fmt: skip
_LATEX_END = (r"\bottomrule", r"\end{tabular}", "")


def format_named(name: str | None) -> Format | None:
    """Return the format of a name that a person gave.

    Raises:
        BadInput: when there is no such format.
    """
    for known in get_args(Format):
        if known == name:
            found: Format = known
            return found
    if name is not None:
        raise BadInput(Problem("--format", suggest(name, get_args(Format), "format")))
    return None


List = tuple[Sequence[str], Sequence[Sequence[object]]]
"""Headings and rows; figures where a program reads them, else text."""


def formatted(
    matrix: Matrix, wanted: Format, intervals: bool = False, lists: Sequence[List] = ()
) -> str:
    """Return a matrix as text, and lists that belong to it after an empty line.

    - ``csv``: figures alone, in percent or as they are: a slide or a sheet draws them;
    - ``markdown``: the best in bold, what is not told from it in italics;
    - ``latex``: a ``tabular`` of the package booktabs, the best in bold, the others underlined;
    - ``json``: everything: shares in [0, 1], intervals, n, marks.

    Args:
        matrix: what to write.
        wanted: in which format.
        intervals: show the interval of every cell, not of means alone.
        lists: such as a comparison, each with its headings; an entry ``lists`` of the JSON.
    """
    if wanted == "json":
        return _json(matrix, lists)
    whole, listed = _FORMATS[wanted]
    return "\n".join([whole(matrix, intervals), *(listed(*each) for each in lists)])


def listed(headings: Sequence[str], rows: Sequence[Sequence[object]], wanted: Format) -> str:
    """Return a list as text.

    Args:
        headings: of its columns.
        rows: a cell a column.
        wanted: in which format; JSON has an object a row.
    """
    if wanted == "json":
        return _json_text(_objects(headings, rows))
    return _FORMATS[wanted][1](headings, rows)


def listed_frame(table: pd.DataFrame) -> List:
    """Return a frame as a list of its figures, for programs; what is NaN is None."""
    rows = [
        [
            None if isinstance(value, float) and math.isnan(value) else value
            for value in row.values()
        ]
        for row in table.to_dict("records")
    ]
    return [*map(str, table.columns)], rows


def _csv(matrix: Matrix, intervals: bool) -> str:
    names = [f"{h.above}: {h.name}" if h.above else h.name for h in matrix.columns]
    rows = []
    for row, keys in enumerate(matrix.rows):
        cells = (_words(matrix, row, column)[0] for column in range(len(names)))
        rows.append([*keys, *("" if text == DASH else text for text in cells)])
    return _csv_list([*matrix.axes, *names], rows)


def _csv_list(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    sink = StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerows([*map(spreadsheet_cell, row)] for row in (headings, *rows))
    return sink.getvalue()


def _markdown_text(name: str) -> str:
    return re.sub(r"([\\`*_|<>\[\]])", r"\\\1", one_line(name))


def _markdown_list(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [[_markdown_text(str(cell)) for cell in line] for line in (headings, *rows)]
    return _markdown_lines([lines[0], ["---"] * len(headings), *lines[1:]])


def _markdown_lines(lines: Sequence[Sequence[str]]) -> str:
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _markdown(matrix: Matrix, intervals: bool) -> str:
    text = _markdown_text
    names = [f"{text(h.above)}: {text(h.name)}" if h.above else text(h.name)
             for h in matrix.columns]  # fmt: skip
    lines = [[*map(text, matrix.axes), *names]]
    lines.append(["---"] * len(matrix.axes) + ["---:"] * len(names))
    marked = {BEST: "**{}**", LEVEL: "*{}*", "": "{}"}
    for row, keys in enumerate(matrix.rows):
        cells = [_shown(matrix, row, column, intervals, marked, " ± {}", " ({})")
                 for column in range(len(names))]  # fmt: skip
        lines.append([*map(text, keys), *cells])
    return _markdown_lines(lines)


def _latex_text(name: str) -> str:
    return "".join(_LATEX.get(sign, sign) for sign in one_line(name))


def _latex_list(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    texts = [[_latex_text(str(cell)) for cell in line] for line in (headings, *rows)]
    lines = [f"{' & '.join(line)} \\\\" for line in texts]
    begin = [rf"\begin{{tabular}}{{{'l' * len(headings)}}}", r"\toprule"]
    return "\n".join([*begin, lines[0], r"\midrule", *lines[1:], *_LATEX_END])


def _latex(matrix: Matrix, intervals: bool) -> str:
    text = _latex_text
    lead, count = len(matrix.axes), len(matrix.columns)
    lines = [rf"\begin{{tabular}}{{{'l' * lead}{'r' * count}}}", r"\toprule"]
    groups = [(name, len([*same])) for name, same in groupby(h.above for h in matrix.columns)]
    if any(name for name, _ in groups):
        over = [rf"\multicolumn{{{size}}}{{c}}{{{text(name)}}}" for name, size in groups]
        lines.append(f"{'& ' * lead}{' & '.join(over)} \\\\")
        begin = lead + 1
        for name, size in groups:
            if name:
                lines.append(rf"\cmidrule(lr){{{begin}-{begin + size - 1}}}")
            begin += size
    lines.append(f"{' & '.join(map(text, [*matrix.axes, *(h.name for h in matrix.columns)]))} \\\\")
    lines.append(r"\midrule")
    marked = {BEST: r"\textbf{{{}}}", LEVEL: r"\underline{{{}}}", "": "{}"}
    for row, keys in enumerate(matrix.rows):
        after = r" $\pm$ {}", r" {{\scriptsize({})}}"
        cells = [_shown(matrix, row, column, intervals, marked, *after) for column in range(count)]
        lines.append(f"{' & '.join([*map(text, keys), *cells])} \\\\")
    return "\n".join([*lines, *_LATEX_END])


def _json(matrix: Matrix, lists: Sequence[List]) -> str:
    def known(value: float) -> float | None:
        return None if math.isnan(value) else value

    def entry(cell: Cell | None) -> dict[str, Any] | None:
        if cell is None:
            return None
        figures = {name: known(getattr(cell, name)) for name in ("value", "low", "high", "spread")}
        best, level = cell.mark == BEST, cell.mark in (BEST, LEVEL)
        return {**figures, "n": cell.n, "best": best, "not_told_from_best": level}

    columns = range(len(matrix.columns))
    content = {
        "title": matrix.title,
        "values": matrix.values,
        "axes": [*matrix.axes],
        "columns": [{"group": h.above, "name": h.name, "mean": h.mean} for h in matrix.columns],
        "rows": [
            {"names": [*keys], "cells": [entry(matrix.cells.get((row, c))) for c in columns]}
            for row, keys in enumerate(matrix.rows)
        ],
        "notes": matrix.notes,
        "lists": [_objects(*each) for each in lists],
    }
    return _json_text(content)


def _objects(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> list[dict[str, object]]:
    return [dict(zip(headings, row, strict=True)) for row in rows]


def _json_text(content: object) -> str:
    return f"{json.dumps(content, indent=1, ensure_ascii=False)}\n"


def _words(matrix: Matrix, row: int, column: int) -> tuple[str, str, str]:
    cell = matrix.cells.get((row, column))
    return (DASH, "", "") if cell is None else words(cell, matrix.is_share(column))


def _shown(
    matrix: Matrix,
    row: int,
    column: int,
    intervals: bool,
    marked: Mapping[str, str],
    over: str,
    within: str,
) -> str:
    """Return a cell's figure with its mark, deviation and interval, as a format writes them."""
    figure, spread, interval = _words(matrix, row, column)
    cell = matrix.cells.get((row, column))
    text = marked["" if cell is None else cell.mark].format(figure)
    text += over.format(spread) if spread else ""
    shown = interval and (intervals or matrix.columns[column].mean)
    return text + (within.format(interval) if shown else "")


_FORMATS: Mapping[
    Format,
    tuple[
        Callable[[Matrix, bool], str],
        Callable[[Sequence[str], Sequence[Sequence[object]]], str],
    ],
] = {
    "csv": (_csv, _csv_list),
    "markdown": (_markdown, _markdown_list),
    "latex": (_latex, _latex_list),
}
