"""Tables of text: what each column needs, and how many fit."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby

from rich.cells import cell_len

from gauntlet.jobs.reports.plain_text import one_line

NAME = 16
"""Least width of a column of names; shorter where no name is longer."""
GAP, EDGE = "  ", " "


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        heading: may be broken between its words.
        least: how narrow the column may become; its text is then broken. Never narrower than a
            word of the heading.
        figure: whether it holds figures, which are never broken.
        any_heading: whether the heading may be broken within its words, too, as those of targets.
    """

    heading: str
    least: int = 8
    figure: bool = False
    any_heading: bool = False


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
        over: names that stand over neighbouring headings, each with how many it is over.
        bold: cells that are, by row and column.
    """

    columns: Sequence[Column]
    rows: list[list[str]]
    above: dict[int, str] = field(default_factory=dict)
    over: Sequence[tuple[str, int]] = ()
    bold: Collection[tuple[int, int]] = ()

    def needed(self, place: int) -> int:
        """Return how many characters a column cannot do without."""
        column, longest = self.columns[place], self._longest[place]
        word = max(map(cell_len, column.heading.split()), default=0)
        word = min(word, column.least) if column.any_heading else word
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
        count, used = 0, -len(GAP)
        for place in range(len(self.columns)):
            used += len(GAP) + self.needed(place)
            if used > room:
                break
            count += 1
        return max(count, 1)

    def first(self, count: int) -> Grid:
        """Return the first columns alone."""
        return Grid(self.columns[:count], [row[:count] for row in self.rows], self.above)

    def blocks(self, room: int, groups: Sequence[int]) -> list[Grid]:
        """Return the table in tables that fit, each with the names of the first column.

        Args:
            room: characters of a line.
            groups: of how many columns each group is; one is cut only where it alone is too wide.
        """
        found: list[list[int]] = [[]]
        begin = 1
        for count in groups:
            group = [*range(begin, begin + count)]
            begin += count
            for part in [group] if self._fit(group, room) else [[place] for place in group]:
                if found[-1] and not self._fit([*found[-1], *part], room):
                    found.append([])
                found[-1] += part
        return [self._with(places) for places in found]

    def _fit(self, places: Sequence[int], room: int) -> bool:
        return sum(len(GAP) + self.needed(place) for place in (0, *places)) - len(GAP) <= room

    def _with(self, places: Sequence[int]) -> Grid:
        """Return the first column and some others."""
        kept = [0, *places]
        groups = [name for name, count in self.over for _ in range(count)]
        shown = groupby(groups[place - 1] for place in places)
        new = {place: number for number, place in enumerate(kept)}
        return Grid(
            [self.columns[place] for place in kept],
            [[row[place] for place in kept] for row in self.rows],
            over=[(name, len([*same])) for name, same in shown] if any(groups) else (),
            bold={(row, new[place]) for row, place in self.bold if place in new},
        )

    def folded(self) -> Grid:
        """Return the table with what the first column says above each group of rows, not beside."""
        group, name, *others = self.columns
        inside = Column(f"{group.heading}, {name.heading}", name.least + len(GAP))
        changes = {
            place: row[0]
            for place, row in enumerate(self.rows)
            if not place or row[0] != self.rows[place - 1][0]
        }
        rows = [[f"{GAP}{row[1]}", *row[2:]] for row in self.rows]
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
        for _ in range(room - sum(widths) - len(GAP) * (len(widths) - 1)):
            growing = [place for place in places if widths[place] < wished[place]]
            if not growing:
                break
            widths[min(growing, key=widths.__getitem__)] += 1
        return widths


def grid_of(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> Grid:
    """Return a table whose cells stay in their lines."""
    return Grid(columns, [[one_line(cell) for cell in row] for row in rows])
