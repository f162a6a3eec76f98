"""A matrix on a terminal, folded to its width; and the words of its cells in every format."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from gauntlet.jobs.reports.drawn_grid import print_grid, room_of
from gauntlet.jobs.reports.grid import NAME, Column, grid_of
from gauntlet.jobs.reports.marks import BEST
from gauntlet.jobs.reports.matrix import Cell, Matrix
from gauntlet.jobs.reports.terminal import Terminal

DASH = "-"
"""What stands where nothing counts."""


def print_matrix(console: Terminal, matrix: Matrix, intervals: bool = False) -> None:
    """Print a matrix in as many tables as its columns take, groups whole where they can be.

    Args:
        console: where to.
        matrix: what to print.
        intervals: show the interval of every cell, not of means alone.
    """
    count = len(matrix.columns)
    marked = {column for (_, column), cell in matrix.cells.items() if cell.mark}
    texts = [
        [_text(matrix, row, column, intervals, column in marked) for column in range(count)]
        for row in range(len(matrix.rows))
    ]
    columns = [
        Column(" / ".join(matrix.axes), NAME),
        *(Column(h.name, figure=True, any_heading=True) for h in matrix.columns),
    ]
    rows = [[" / ".join(names), *row] for names, row in zip(matrix.rows, texts, strict=True)]
    groups = [(name, len([*same])) for name, same in groupby(h.above for h in matrix.columns)]
    bold = {(row, 1 + column) for (row, column), cell in matrix.cells.items() if cell.mark == BEST}
    grid = replace(grid_of(columns, rows), over=groups, bold=bold)
    console.print(matrix.title, style="italic")
    console.print()
    # Without names over them columns are groups of one each: each stays whole.
    sizes = [size for name, size in groups for size in ([size] if name else [1] * size)]
    for block in grid.blocks(room_of(console), sizes):
        print_grid(console, block)


def _text(matrix: Matrix, row: int, column: int, intervals: bool, marked: bool) -> str:
    cell = matrix.cells.get((row, column))
    if cell is None:
        return f"{DASH} " if marked else DASH
    heading = matrix.columns[column]
    shown = words(cell, matrix.is_share(column))
    # A place for the mark in every cell of a column keeps its figures below each other.
    text = f"{shown[0]}{cell.mark or ' '}" if marked else shown[0]
    spread, interval = shown[1:]
    text += f" ± {spread}" if spread else ""
    return f"{text} ({interval})" if interval and (intervals or heading.mean) else text


def words(cell: Cell, share: bool) -> tuple[str, str, str]:
    """Return a figure, its deviation and its interval; what it has not is empty.

    Args:
        cell: the figure.
        share: whether it is shown in percent.
    """

    def said(value: float) -> str:
        return f"{100 * value:.1f}" if share else f"{value:.2f}"

    if math.isnan(cell.value):
        return DASH, "", ""
    spread = "" if math.isnan(cell.spread) else said(cell.spread)
    ends: Sequence[float] = (cell.low, cell.high)
    interval = "" if any(map(math.isnan, ends)) else "-".join(map(said, ends))
    return said(cell.value), spread, interval
