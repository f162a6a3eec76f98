"""A table of text on a terminal: headings, rows, what is over and above them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from rich.cells import cell_len
from rich.text import Text

from gauntlet.jobs.reports.grid import EDGE, GAP, Column, Grid
from gauntlet.jobs.reports.plain_text import one_line
from gauntlet.jobs.reports.terminal import Terminal

Line = list[str]
"""What of a line is in each column, as wide as that."""


def room_of(console: Terminal) -> int:
    """Return how many characters of a line a table may fill."""
    return max(console.width - 2 * len(EDGE), 1)


def print_grid(console: Terminal, grid: Grid) -> None:
    """Print a table that fits, its columns as wide as there is room for."""
    widths = grid.widths(room_of(console))
    lines: list[Line] = []
    if grid.over:
        lines += _over(console, grid, widths)
    headings = [column.heading for column in grid.columns]
    lines += _laid_out(console, grid.columns, widths, headings, low=True)
    console.print("\n".join(map(_joined, lines)), style="bold", soft_wrap=True)
    rule = f"{EDGE}{'─' * (sum(widths) + len(GAP) * (len(widths) - 1))}"
    body: list[str | Text] = [rule]
    for place, row in enumerate(grid.rows):
        if place in grid.above:
            named = _broken(console, grid.above[place], room_of(console))
            body += [f"{EDGE}{line}" for line in named]
        bold = [column for column in range(len(widths)) if (place, column) in grid.bold]
        first, *others = _laid_out(console, grid.columns, widths, row)
        body += [_emboldened(console, first, bold), *map(_joined, others)]
    # At once: to print a line takes as long as to lay out twenty.
    if all(isinstance(line, str) for line in body):
        console.print("\n".join(map(str, body)), soft_wrap=True)
    else:
        texts = (console.render_str(line) if isinstance(line, str) else line for line in body)
        console.print(Text("\n").join(texts), soft_wrap=True)
    console.print()


def _emboldened(console: Terminal, line: Line, bold: Sequence[int]) -> str | Text:
    """Return a line with the cells of some columns in bold, where that can be shown."""
    if not bold or not console.is_terminal:
        return _joined(line)
    text = console.render_str(_joined(line))
    for column in bold:
        start = len(EDGE) + sum(len(cell) + len(GAP) for cell in line[:column])
        text.stylize("bold", start, start + len(line[column]))
    return text


def _over(console: Terminal, grid: Grid, widths: Sequence[int]) -> list[Line]:
    """Return the lines over the headings; the first column is of names."""
    begin, spans = 1, [widths[0]]
    for _, count in grid.over:
        spans.append(sum(widths[begin : begin + count]) + len(GAP) * (count - 1))
        begin += count
    names = ["", *(one_line(name) for name, _ in grid.over)]
    return _laid_out(console, [Column("")] * len(spans), spans, names)


def _laid_out(
    console: Terminal,
    columns: Sequence[Column],
    widths: Sequence[int],
    cells: Sequence[str],
    low: bool = False,
) -> list[Line]:
    lines = [_broken(console, cell, width) for cell, width in zip(cells, widths, strict=True)]
    if low:
        height = max(map(len, lines))
        lines = [[""] * (height - len(cell)) + cell for cell in lines]
    return [
        [_placed(*cell) for cell in zip(columns, widths, line, strict=True)]
        for line in zip_longest(*lines, fillvalue="")
    ]


def _broken(console: Terminal, text: str, width: int) -> list[str]:
    """Return a text in lines, broken between words where that can be, all of one indent."""
    if cell_len(text) <= width:  # most do, and breaking takes a hundred times as long
        return [text]
    words = text.lstrip()
    indent = text[: len(text) - len(words)]
    lines = Text(words).wrap(console, width - len(indent), overflow="fold")
    return [f"{indent}{line.plain}" for line in lines] or [""]


def _joined(line: Line) -> str:
    return f"{EDGE}{GAP.join(line)}".rstrip()


def _placed(column: Column, width: int, text: str) -> str:
    blank = " " * (width - cell_len(text))
    return f"{blank}{text}" if column.figure else f"{text}{blank}"
