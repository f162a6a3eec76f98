"""Putting the figures of a run, or of several, into the rows and columns of a matrix."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from gauntlet.jobs.reports.entries import Entry, entries_of
from gauntlet.jobs.reports.frames import Figures
from gauntlet.jobs.reports.marks import BEST, marks
from gauntlet.jobs.reports.matrix import (
    AXES,
    FIGURE,
    SIZE,
    TITLE,
    Cell,
    Heading,
    Keys,
    Matrix,
    View,
)
from gauntlet.jobs.reports.notes import matrix_notes
from gauntlet.pipeline.problems import BadInput, Problem


def matrix_of(found: Figures, view: View) -> Matrix:
    """Return the matrix of a run.

    Args:
        found: its figures, compared by what is shown.
        view: which matrix.

    Raises:
        BadInput: when the run has no such values, or one cell would hold several figures.
    """
    groups, targets = found.groups(), found.targets()
    goal = str(found.reading.manifest.task.get("goal"))
    _check_values(view, groups, goal)
    entries = entries_of(groups, targets, view, found.order_of_targets)
    lowest = view.values == "score" and goal == "dodging"
    marked = marks(entries, _compared_in(view), found.outcomes, lowest)
    entries = [
        replace(entry, cell=replace(entry.cell, mark=mark))
        for entry, mark in zip(entries, marked, strict=True)
    ]
    notes = matrix_notes(groups, view.values, BEST in marked, lowest)
    return _laid_out(entries, view, notes)


def matrix_of_means(frame: pd.DataFrame, view: View, order: Sequence[str]) -> Matrix:
    """Return the matrix of means over runs, with deviations.

    Args:
        frame: from `seeds.over_runs`.
        view: which matrix.
        order: the targets, as the job lists them.

    Raises:
        BadInput: as `matrix_of`.
    """
    groups, targets = (frame[frame["level"] == level] for level in ("group", "target"))
    _check_values(view, groups.rename(columns=lambda name: str(name).removesuffix("_mean")))
    return _laid_out(entries_of(groups, targets, view, order), view, [])


def _check_values(view: View, groups: pd.DataFrame, goal: str = "") -> None:
    figure = FIGURE[view.values]
    if (
        view.values == "utility"
        and goal != "untargeted"
        and not (figure in groups and groups[figure].notna().any())
    ):
        why = "transfer utility is of untargeted classification"
        why += f"; the goal of this run is {goal}" if goal else ""
        raise BadInput(Problem("--values", f"{view.values}: this run has none: {why}"))


def _compared_in(view: View) -> Keys:
    """Return the axis in which attacks are compared: the one that says who judged."""
    return view.rows if {"group", "target"} & {*view.rows} else view.columns


def _laid_out(entries: Sequence[Entry], view: View, notes: list[str]) -> Matrix:
    rows = _places(entries, view.rows)
    columns = _places(entries, view.columns)
    cells: dict[tuple[int, int], Cell] = {}
    of: dict[tuple[int, int], Entry] = {}
    for entry in entries:
        key = rows[_key(entry, view.rows)], columns[_key(entry, view.columns)]
        if key in of:
            raise BadInput(_several(of[key], entry, view))
        of[key], cells[key] = entry, entry.cell
    means = {_key(entry, view.columns) for entry in entries if not entry.single}
    headings = [
        Heading(key[-1], ", ".join(key[:-1]), key in means or not view.single_targets)
        for key in columns
    ]
    sizes = _sizes(entries, view, rows)
    if sizes:
        cells |= {(row, len(columns)): Cell(size) for row, size in sizes.items()}
        headings.append(Heading(SIZE))
    title = f"{TITLE[view.values]}, {' x '.join(map(_words, (view.rows, view.columns)))}"
    return Matrix(title, view.values, view.rows, [*rows], headings, cells, notes)


def _words(axes: Keys) -> str:
    """Return what a title calls axes: targets are in groups anyway."""
    shown = [axis for axis in axes if axis != "group" or "target" not in axes]
    return " x ".join("target group" if axis == "group" else axis for axis in shown)


def _key(entry: Entry, axes: Keys) -> Keys:
    return tuple(entry.axes.get(axis, "-") for axis in axes)


def _places(entries: Sequence[Entry], axes: Keys) -> dict[Keys, int]:
    """Return the place of each row or column: attacks and targets as the job lists them, those of
    a first name together."""
    if {"group", "target"} & {*axes}:
        entries = sorted(entries, key=lambda entry: entry.place)
    keys = dict.fromkeys(_key(entry, axes) for entry in entries)
    first = {name: n for n, name in enumerate(dict.fromkeys(key[0] for key in keys))}
    ordered = sorted(keys, key=lambda key: first[key[0]])
    return {key: place for place, key in enumerate(ordered)}


def _sizes(
    entries: Sequence[Entry], view: View, rows: Mapping[Keys, int]
) -> dict[int, float] | None:
    """Return the l2 of each row where each is of one attack, which has one on all targets."""
    labels: dict[int, set[str]] = defaultdict(set)
    sizes: dict[int, float] = {}
    for entry in entries:
        row = rows[_key(entry, view.rows)]
        labels[row].add(entry.attack)
        sizes.setdefault(row, entry.size)
    return sizes if all(len(found) == 1 for found in labels.values()) else None


def _several(one: Entry, two: Entry, view: View) -> Problem:
    shown = {*view.rows, *view.columns}
    differ = [
        axis
        for axis in AXES
        if axis not in shown and one.axes.get(axis) != two.axes.get(axis)
        and not (axis == "target" and not view.single_targets)
    ]  # fmt: skip
    cell = ", ".join(f"{axis} {one.axes.get(axis, '-')}" for axis in (*view.rows, *view.columns))
    what = f"a cell ({cell}) would hold several figures: they differ in {', '.join(differ)}"
    return Problem("--rows, --columns", f"{what}; name that, too, such as --columns "
                   f"{','.join((*view.columns, *differ[-1:]))}")  # fmt: skip
