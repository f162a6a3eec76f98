"""The summary of a run: success of each attack on each group of targets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from shlex import quote

import numpy as np
import pandas as pd

from gauntlet.jobs.reports.against import beside_rates
from gauntlet.jobs.reports.arranging import matrix_of
from gauntlet.jobs.reports.cost_words import cost_words
from gauntlet.jobs.reports.doubts import print_damage, print_doubts
from gauntlet.jobs.reports.failures import FailureCounts
from gauntlet.jobs.reports.frames import Figures
from gauntlet.jobs.reports.grid import Column, figures, names, spread
from gauntlet.jobs.reports.matrix import View
from gauntlet.jobs.reports.matrix_text import print_matrix
from gauntlet.jobs.reports.notes import (
    excess_words,
    narrowed_words,
    notes,
    threshold_notes,
    unmoved_words,
)
from gauntlet.jobs.reports.plain_text import spreadsheet_cell
from gauntlet.jobs.reports.table_cells import cells, judge_words, percent
from gauntlet.jobs.reports.tables import all_fit, print_table
from gauntlet.jobs.reports.terminal import Terminal
from gauntlet.jobs.reports.thresholds import print_thresholds, success_cells
from gauntlet.pipeline.results.reading import Reading
from gauntlet.pipeline.results.records import FORMER

ELSEWHERE = "--csv FILE has all"
"""Where the figures are that a table has no room for."""
SHOWN_STEPS = 10
"""Columns of the table of success against the step."""
SHOWN_FAILURES = 3
"""Failures that are printed."""


def print_report(
    found: Figures,
    console: Terminal,
    view: View | None = None,
    targets: bool = False,
    steps: bool = False,
    long: bool = False,
) -> None:
    """Print a run's matrix, its failures, and where and how to read the rest.

    Args:
        found: the run's figures.
        console: where to.
        view: which matrix; by default attacks x groups of targets.
        targets: lists and steps are of single targets, too.
        steps: add the table of success against the step.
        long: print every figure in lists in place of the matrix.

    Raises:
        BadInput: when the run has no such matrix.
    """
    reading, run = found.reading, found.run
    print_doubts(reading.manifest.warnings, console)
    print_damage(reading.damage, console)
    if found.empty:
        console.print(found.why_empty)
    else:
        if long:
            _print_lists(found, targets, console)
        else:
            matrix = matrix_of(found, view or View())
            print_matrix(console, matrix, view is not None and view.intervals)
            for line in matrix.notes:
                console.print(line, style="dim")
        _print_rules(found, targets, console)
        for line in threshold_notes(reading.manifest):
            console.print(line, style="dim")
        record = reading.record
        remarks = (unmoved_words(found.unmoved()), narrowed_words(record), excess_words(record))
        for line in (line for lines in remarks for line in lines):
            console.print(line, style="yellow")
        if steps:
            _print_steps(found, targets, console)
    _print_failures(found.failures, console)
    if reading.units_of_complete is None:
        left = "some of its work is not done, and these figures are of what is"
        what = FORMER if reading.folder.is_former() else f"gauntlet resume {quote(run)}"
        console.print(f"{left}: {what}", style="yellow", soft_wrap=True)
    for line in cost_words(reading.manifest):
        console.print(line, style="dim", soft_wrap=True)
    console.print(f"results: {run}", soft_wrap=True)
    address = f"{run.rstrip('/')}/verdicts"
    console.print(f'read them: pandas.read_parquet("{address}")', soft_wrap=True)


def summary(run: str, steps: bool = False) -> pd.DataFrame:
    """Return the rates by group and by target in one frame; `level` tells them apart.

    Args:
        run: the run's folder.
        steps: one row a judged step, instead of the last step and leave-one-out.

    Raises:
        ValueError: when there is no run in the folder.
    """
    return Figures(Reading(run)).whole(steps)


def write_csv(
    found: Figures, path: Path, steps: bool = False, comparisons: Sequence[pd.DataFrame] = ()
) -> None:
    """Write `summary` as CSV; no text in it is a formula to a spreadsheet.

    Args:
        found: the run's figures.
        path: of the file.
        steps: as for `summary`.
        comparisons: from `against.against`, written beside the rates that they are of.
    """
    table = found.whole(steps)
    table = beside_rates(table, comparisons) if comparisons else table
    table.map(spreadsheet_cell).to_csv(path, index=False)


def _print_lists(found: Figures, targets: bool, console: Terminal) -> None:
    groups = found.groups()
    _print_rates(groups, "group", "attack x target group", console)
    if targets:
        _print_rates(found.targets(), "target", "attack x target", console)
    for line in notes(groups):
        console.print(line, style="dim")


def _print_rates(frame: pd.DataFrame, by: str, title: str, console: Terminal) -> None:
    headings, rows = cells(frame, by)
    columns = [*names(*headings[:2]), *figures(*headings[2:])]
    print_table(console, title, columns, rows, nested=True, elsewhere=ELSEWHERE)


def _print_rules(found: Figures, targets: bool, console: Terminal) -> None:
    """Print the success at the thresholds of each rule, and these, where there are several."""
    if not found.further:
        return
    for by in ("group", "target") if targets else ("group",):
        headings, rows = success_cells(found.by_rule(by == "target"), by)
        columns = [*names(*headings[:2]), *figures(*headings[2:])]
        title = f"success % by the rule of the threshold, {by}s"
        print_table(console, title, columns, rows, nested=True, elsewhere=ELSEWHERE)
    print_thresholds(found.thresholds(), console)


def _print_steps(found: Figures, targets: bool, console: Terminal) -> None:
    curves, by = found.curves(targets), "target" if targets else "group"
    every = sorted(curves["step"].unique())
    if not found.verdicts.several_steps:
        console.print(
            "only the last step was judged; a job's `evaluate: {steps: all}` judges every one"
        )
        return
    # The first and the last step are what it is about: fewer between them, where there is no room.
    for most in range(SHOWN_STEPS, 1, -1):
        shown = spread(every, most)
        columns, rows = _steps(curves, by, shown)
        if all_fit(console, columns, rows):
            break
    title = f"success % against the step, attack x {'target' if targets else 'target group'}"
    print_table(console, title, columns, rows, nested=True, elsewhere=ELSEWHERE)
    if len(shown) < len(every):
        said = f"{len(shown)} of {len(every)} judged steps; --csv FILE writes all of them"
        console.print(said, style="dim")


def _steps(curves: pd.DataFrame, by: str, shown: list[int]) -> tuple[list[Column], list[list[str]]]:
    """Return columns and rows of the success at some of the steps."""
    rows = []
    for _, part in curves.groupby(["attack", by, "white_box"], sort=False, dropna=False):
        rates = part.set_index("step")["success"]
        row = part.iloc[0].to_dict()
        cells = [percent(rates.get(step, np.nan)) for step in shown]
        rows.append([str(row["attack"]), judge_words(row, by), *cells])
    return [*names("attack", by), *figures(*map(str, shown))], rows


def _print_failures(failures: FailureCounts, console: Terminal) -> None:
    if not failures.count:
        return
    parts = [f"{count} at stage {stage!r}" for stage, count in failures.stages.items()]
    console.print(f"failures: {', '.join(parts)}", style="yellow")
    for row in failures.first[:SHOWN_FAILURES]:
        named = (row[name] for name in ("example", "attack", "unit"))
        subject = next(name for name in named if name is not None)
        console.print(f"  {subject}: {row['reason']}", soft_wrap=True)
    if (more := failures.count - SHOWN_FAILURES) > 0:
        console.print(f"  ... and {more} more in the failures table")
