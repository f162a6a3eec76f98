"""The best of a column, and what a paired test cannot tell from it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from typing import Protocol

from gauntlet.pipeline.evaluation.best import paired_p, told_apart
from gauntlet.pipeline.evaluation.outcomes import Outcomes
from gauntlet.pipeline.evaluation.statistics import Reals

BEST, LEVEL = "*", "~"
"""Marks of the best, and of those that are not told from it; ASCII, for every terminal and log."""


class Valued(Protocol):
    """A cell's figure."""

    @property
    def value(self) -> float:
        """It; NaN where nothing counts."""


class Marked(Protocol):
    """What a mark is for: an attack's figure, by whom it was judged, and where it stands."""

    @property
    def axes(self) -> Mapping[str, str]:
        """Its names."""

    @property
    def attack(self) -> str:
        """Its attack."""

    @property
    def judges(self) -> frozenset[str]:
        """The targets that it is over."""

    @property
    def cell(self) -> Valued:
        """Its figure."""


def marks(
    entries: Sequence[Marked], axes: Sequence[str], outcomes: Outcomes, lowest: bool = False
) -> list[str]:
    """Return the mark of each entry: `BEST`, `LEVEL`, or nothing.

    Attacks are compared on who judged them, with all that stand in the same column: the best with
    each other one, on the examples and targets that count for both; Holm's rule takes care of their
    number (`evaluation.best`). Where all figures are equal none is the best.

    Args:
        entries: all of a matrix.
        axes: names that those of a column share, beside who judged them.
        outcomes: the examples behind the figures.
        lowest: the lowest figure is the best.
    """
    columns: dict[Hashable, list[int]] = defaultdict(list)
    for place, entry in enumerate(entries):
        names = (*axes, "group", "target")
        key = tuple(entry.axes.get(name) for name in names)
        if not math.isnan(entry.cell.value):
            columns[key].append(place)
    found = [""] * len(entries)
    sign = -1 if lowest else 1
    for places in columns.values():
        values = [sign * entries[place].cell.value for place in places]
        if min(values) == max(values):
            continue
        best = [place for place, value in zip(places, values, strict=True) if value == max(values)]
        others = [place for place in places if place not in best]
        targets = sorted(frozenset().union(*(entries[place].judges for place in places)))

        def table(place: int, targets: Sequence[str] = targets) -> Reals:
            return outcomes.table(entries[place].attack, targets, entries[place].judges)

        first = table(best[0])
        p_values = [paired_p(table(other), first) for other in others]
        known = [p for p in p_values if p is not None]
        apart = iter(told_apart(known))
        for place, p_value in zip(others, p_values, strict=True):
            if p_value is not None and not next(apart):
                found[place] = LEVEL
        for place in best:
            found[place] = BEST
    return found
