"""The matrix: attacks against targets, as papers print them; what every format is made from."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from gauntlet.pipeline.problems import BadInput, Problem, suggest

Values = Literal["success", "score", "passes", "utility"]
Keys = tuple[str, ...]

AXES = ("attack", "base", "rule", "norm", "epsilon", "group", "target")
"""What rows and columns can be."""
FIGURE = {"success": "success", "score": "score", "utility": "transfer_utility"}
"""The column of the reports' frames that a cell shows."""
TITLE = {"success": "success %", "score": "mean score", "utility": "mean transfer utility"}
SIZE = "l2"
"""The last column: the size of an attack's changes."""


@dataclass(frozen=True)
class View:
    """Which matrix is wanted.

    Attributes:
        rows: what a row is one of.
        columns: what a column is one of; the last stands in its heading, the others above.
        values: what a cell shows.
        intervals: show the interval of every cell, not of means alone.

    Raises:
        BadInput: when there is no such axis, or it is asked for twice.
    """

    rows: Keys = ("attack",)
    columns: Keys = ("group",)
    values: Values = "success"
    intervals: bool = False

    def __post_init__(self) -> None:
        for option, axes in (("--rows", self.rows), ("--columns", self.columns)):
            for axis in axes:
                if axis not in AXES:
                    raise BadInput(Problem(option, suggest(axis, AXES, "axis")))
        twice = [axis for axis, n in Counter((*self.rows, *self.columns)).items() if n > 1]
        if twice:
            raise BadInput(Problem("--rows, --columns", f"{twice[0]} is asked for twice"))

    @classmethod
    def of(cls, rows: Keys, columns: Keys, values: str, intervals: bool) -> View:
        """Return a view by the names that a person gave.

        Raises:
            BadInput: as the class, and when nothing of that name can be shown.
        """
        for known in get_args(Values):
            if known == values:
                return cls(rows, columns, known, intervals)
        raise BadInput(Problem("--values", suggest(values, get_args(Values), "values")))

    @property
    def single_targets(self) -> bool:
        """Whether a cell is of one target."""
        return "target" in (*self.rows, *self.columns)


@dataclass(frozen=True)
class Cell:
    """A figure.

    Attributes:
        value: a share, or a score.
        low: lower end of its 95 % interval; NaN without one.
        high: upper end.
        spread: its deviation over seeds or runs; NaN of one.
        n: examples that it is over.
        mark: `marks.BEST`, `marks.LEVEL` or nothing.
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    spread: float = math.nan
    n: int | None = None
    mark: str = ""


@dataclass(frozen=True)
class Heading:
    """What a column is: its own name, what stands above it, and whether it is a group's mean."""

    name: str
    above: str = ""
    mean: bool = True


@dataclass(frozen=True)
class Matrix:
    """A table of figures.

    Attributes:
        title: what is shown, of what.
        values: what a cell shows.
        axes: headings of the names of a row.
        rows: those names.
        columns: in groups: neighbours with the same `Heading.above`.
        cells: by row and column; where there is none, nothing was judged.
        notes: what figures and marks mean.
    """

    title: str
    values: Values
    axes: Keys
    rows: list[Keys]
    columns: list[Heading]
    cells: Mapping[tuple[int, int], Cell]
    notes: list[str] = field(default_factory=list)

    def is_share(self, column: int) -> bool:
        """Return whether the cells of a column are shares, which are shown in percent."""
        return self.values == "success" and self.columns[column].name != SIZE
