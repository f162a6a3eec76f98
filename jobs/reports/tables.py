"""Tables that fit their window: names keep room, figures are whole, what is left out is said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import zip_longest

from rich.cells import cell_len
from rich.padding import Padding
from rich.text import Text

from gauntlet.jobs.reports.plain_text import one_line
from gauntlet.jobs.reports.terminal import Terminal

NAME = 16
"""Least width of a column of names; shorter where no name is longer."""
_GAP, _EDGE = "  ", " "


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        heading: may be broken between its words.
        least: how narrow the column may become; its text is then broken. Never narrower than a
            word of the heading.
        figure: whether it holds figures, which are never broken.
    """

    heading: str
    least: int = 8
    figure: bool = False


def names(*headings: str) -> list[Column]:
    """Return columns of names."""
    return [Column(heading, NAME) for heading in headings]


def texts(*headings: str) -> list[Column]:
    """Return columns of text."""
    return [Column(heading) for heading in headings]


def figures(*headings: str) -> list[Column]:
    """Return columns of figures."""
    return [Column(heading, figure=True) for heading in headings]


def spread(steps: list[int], most: int) -> list[int]:
    """Return at most that many of the steps, evenly spread, the first and the last among them."""
    if len(steps) <= most:
        return steps
    return [steps[round(place * (len(steps) - 1) / (most - 1))] for place in range(most)]


@dataclass(frozen=True)
class Grid:
    """A table of text.

    Attributes:
        columns: its columns.
        rows: a cell a column.
        above: names that stand on a line of their own above a row, by the row's position.
    """

    columns: Sequence[Column]
    rows: list[list[str]]
    above: dict[int, str] = field(default_factory=dict)

    def needed(self, place: int) -> int:
        """Return how many characters a column cannot do without."""
        column, longest = self.columns[place], self._longest[place]
        word = max(map(cell_len, column.heading.split()), default=0)
        return max(word, longest if column.figure else min(longest, column.least))

    def wished(self, place: int) -> int:
        """Return how many characters a column would fill."""
        return max(cell_len(self.columns[place].heading), self._longest[place])

    @cached_property
    def _longest(self) -> list[int]:
        """Characters of the longest cell of each column."""
        places = range(len(self.columns))
        return [max((cell_len(row[place]) for row in self.rows), default=0) for place in places]

    def fitting(self, room: int) -> int:
        """Return how many columns there is room for, from the left; one at least."""
        count, used = 0, -len(_GAP)
        for place in range(len(self.columns)):
            used += len(_GAP) + self.needed(place)
            if used > room:
                break
            count += 1
        return max(count, 1)

    def first(self, count: int) -> Grid:
        """Return the first columns alone."""
        return Grid(self.columns[:count], [row[:count] for row in self.rows], self.above)

    def folded(self) -> Grid:
        """Return the table with what the first column says above each group of rows, not beside."""
        group, name, *others = self.columns
        inside = Column(f"{group.heading}, {name.heading}", name.least + len(_GAP))
        changes = {
            place: row[0]
            for place, row in enumerate(self.rows)
            if not place or row[0] != self.rows[place - 1][0]
        }
        rows = [[f"{_GAP}{row[1]}", *row[2:]] for row in self.rows]
        return Grid([inside, *others], rows, changes)

    def once(self) -> Grid:
        """Return the table with what the first column says in the first row of each group only."""
        before = [None, *(row[0] for row in self.rows)]
        pairs = zip(self.rows, before, strict=False)
        rows = [["" if row[0] == last else row[0], *row[1:]] for row, last in pairs]
        return Grid(self.columns, rows)

    def widths(self, room: int) -> list[int]:
        """Return each column's width: what it needs, and of the rest the narrow ones first."""
        places = range(len(self.columns))
        widths, wished = [*map(self.needed, places)], [*map(self.wished, places)]
        for _ in range(room - sum(widths) - len(_GAP) * (len(widths) - 1)):
            growing = [place for place in places if widths[place] < wished[place]]
            if not growing:
                break
            widths[min(growing, key=widths.__getitem__)] += 1
        return widths


def print_table(
    console: Terminal,
    title: str,
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    *,
    nested: bool = False,
    elsewhere: str | None = None,
) -> None:
    """Print a table of any width on a console of any width.

    Args:
        console: where to.
        title: stands above it.
        columns: its columns, the names first.
        rows: a cell a column.
        nested: the rows come in groups, named by the first column. Its name is written once a
            group: beside its first row, or above it where there it would be broken, or would take
            the room of other columns.
        elsewhere: where the columns are that have no room: they are left out from the right, and
            said. Without it nothing is left out: each row is then a line with its name and, below
            it, everything else.
    """
    grid, room = _grid(columns, rows), _room(console)
    kept = grid.fitting(room)
    if kept < len(columns) and elsewhere is None:
        _print_records(console, title, grid)
        return
    shown = grid.first(kept)
    if nested:
        whole = kept == len(columns) and grid.widths(room)[0] == grid.wished(0)
        folded = grid.folded()
        inside = folded.fitting(room)
        if not whole and inside + 1 >= kept:
            shown, kept = folded.first(inside), inside + 1
        else:
            shown = shown.once()
    _print_grid(console, title, shown)
    if kept < len(columns):
        seen = {column.heading for column in shown.columns}
        left = [column.heading for column in columns[kept:] if column.heading not in seen]
        said = f"no room for {', '.join(left)} at {console.width} columns: {elsewhere}"
        console.print(said, style="dim")


def all_fit(console: Terminal, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> bool:
    """Return whether `print_table` would show every column of a nested table."""
    grid, room = _grid(columns, rows), _room(console)
    return len(columns) in (grid.fitting(room), grid.folded().fitting(room) + 1)


def _grid(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> Grid:
    return Grid(columns, [[one_line(cell) for cell in row] for row in rows])


def _room(console: Terminal) -> int:
    return max(console.width - 2 * len(_EDGE), 1)


def _print_grid(console: Terminal, title: str, grid: Grid) -> None:
    widths = grid.widths(_room(console))

    def broken(text: str, width: int) -> list[str]:
        """Return a text in lines, broken between words where that can be, all of one indent."""
        if cell_len(text) <= width:  # most do, and breaking takes a hundred times as long
            return [text]
        words = text.lstrip()
        indent = text[: len(text) - len(words)]
        lines = Text(words).wrap(console, width - len(indent), overflow="fold")
        return [f"{indent}{line.plain}" for line in lines] or [""]

    def laid_out(cells: Sequence[str], low: bool = False) -> Iterator[str]:
        lines = [broken(cell, width) for cell, width in zip(cells, widths, strict=True)]
        if low:
            height = max(map(len, lines))
            lines = [[""] * (height - len(cell)) + cell for cell in lines]
        for line in zip_longest(*lines, fillvalue=""):
            placed = [
                _placed(column, width, text)
                for column, width, text in zip(grid.columns, widths, line, strict=True)
            ]
            yield f"{_EDGE}{_GAP.join(placed)}".rstrip()

    heading = "\n".join(laid_out([column.heading for column in grid.columns], low=True))
    body = [f"{_EDGE}{'─' * (sum(widths) + len(_GAP) * (len(widths) - 1))}"]
    for place, row in enumerate(grid.rows):
        if place in grid.above:
            body += [f"{_EDGE}{line}" for line in broken(grid.above[place], _room(console))]
        body += laid_out(row)
    console.print(title, style="italic")
    console.print()
    console.print(heading, style="bold", soft_wrap=True)
    # At once: to print a line takes as long as to lay out twenty.
    console.print("\n".join(body), soft_wrap=True)
    console.print()


def _placed(column: Column, width: int, text: str) -> str:
    blank = " " * (width - cell_len(text))
    return f"{blank}{text}" if column.figure else f"{text}{blank}"


def _print_records(console: Terminal, title: str, grid: Grid) -> None:
    console.print(title, style="italic")
    console.print()
    for name, *cells in grid.rows:
        console.print(f"{_EDGE}{name}", style="bold")
        pairs = zip(grid.columns[1:], cells, strict=True)
        said = "; ".join(f"{column.heading}: {cell}" for column, cell in pairs if cell)
        console.print(Padding(said, (0, 0, 0, 3)))
    console.print()
