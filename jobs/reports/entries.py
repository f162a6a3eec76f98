"""The cells of a matrix, each with what it is of, from the figures of groups and targets."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from gauntlet.jobs.reports.matrix import AXES, FIGURE, SIZE, Cell, View
from gauntlet.jobs.reports.table_cells import judge_words

MEAN = "mean"
"""What stands in the place of a target's name where a cell is of a whole group."""
Judges = Mapping[tuple[str, str, bool], frozenset[str]]
"""Targets by attack, group and whether they are white boxes."""


@dataclass(frozen=True)
class Entry:
    """A cell with what it is of.

    Attributes:
        axes: its name on each of `AXES` that it has.
        attack: its attack's label.
        judges: the targets that it is over.
        single: whether it is of one target, not a mean.
        place: its group's, whether of white boxes, and its own, as the job lists them.
        size: mean l2 of its images.
    """

    axes: Mapping[str, str]
    attack: str
    judges: frozenset[str]
    single: bool
    place: tuple[int, bool, int]
    cell: Cell
    size: float


def entries_of(
    groups: pd.DataFrame, targets: pd.DataFrame, view: View, order: Sequence[str]
) -> list[Entry]:
    """Return every cell, in the order of attacks and then of targets as the job lists them."""
    place = {name: number for number, name in enumerate(order)}
    names, judges = _groups(groups, targets)
    frames = [(targets, True)] if view.single_targets else []
    if not view.single_targets or _has_means(view):
        frames.append((groups, False))
    found = []
    for frame, single in frames:
        for row in frame.to_dict("records"):
            key = (str(row["group"]), bool(row["white_box"]))
            axes = {axis: _text(row[axis]) for axis in AXES[:5] if axis in row}
            axes |= {"group": names[key], "target": MEAN}
            mine = judges[str(row["attack"]), *key]
            everyone = _of_any_attack(judges, key)
            if not single and view.single_targets and len(everyone) == 1:
                continue  # the mean of one is that one
            # Groups stand in the order of their first targets; the mean follows them.
            first = min(place.get(name, len(place)) for name in everyone)
            own = len(place) + 1
            if single:
                axes["target"] = judge_words(row, "target")
                mine = frozenset([str(row["target"])])
                own = place.get(str(row["target"]), len(place))
            size = row.get(SIZE, row.get(f"{SIZE}_mean", math.nan))
            at = (first, key[1], own)
            attack, cell = str(row["attack"]), _cell(row, view)
            found.append(Entry(axes, attack, mine, single, at, cell, float(size)))
    attacks = {label: number for number, label in enumerate(dict.fromkeys(groups["attack"]))}
    return sorted(found, key=lambda entry: (attacks[entry.attack], entry.place))


def _of_any_attack(judges: Judges, key: tuple[str, bool]) -> frozenset[str]:
    """Return the targets of a group for any attack."""
    return frozenset().union(*(mine for (_, *other), mine in judges.items() if (*other,) == key))


def _groups(
    groups: pd.DataFrame, targets: pd.DataFrame
) -> tuple[dict[tuple[str, bool], str], Judges]:
    """Return the names of groups, with the most targets that any attack has there; and whose
    targets they are by attack."""
    judges: dict[tuple[str, str, bool], set[str]] = defaultdict(set)
    columns = (targets[name] for name in ("attack", "group", "white_box", "target"))
    for attack, group, box, target in zip(*columns, strict=True):
        judges[str(attack), str(group), bool(box)].add(str(target))
    most = groups.groupby(["group", "white_box"], sort=False)[["targets"]].max().reset_index()
    names = {
        (str(row["group"]), bool(row["white_box"])): judge_words(row, "group")
        for row in most.to_dict("records")
    }
    return names, {key: frozenset(found) for key, found in judges.items()}


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _cell(row: Mapping[Any, Any], view: View) -> Cell:
    figure = FIGURE[view.values]
    if f"{figure}_mean" in row:
        return Cell(float(row[f"{figure}_mean"]), spread=float(row[f"{figure}_sd"]))
    value = float(row[figure])
    if figure != "success":
        return Cell(value, n=int(row["n_all"]))
    spread = float(row.get("success_sd", math.nan))
    return Cell(value, float(row["low"]), float(row["high"]), spread, int(row["n"]))


def _has_means(view: View) -> bool:
    """Whether a group's mean has a place beside its targets."""
    return any(axes[-2:] == ("group", "target") for axes in (view.rows, view.columns))
