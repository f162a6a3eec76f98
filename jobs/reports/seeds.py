"""Runs of one job with different seeds: mean and deviation (specification 5.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import Any

import pandas as pd

from gauntlet.jobs.reports.arranging import matrix_of_means
from gauntlet.jobs.reports.doubts import print_warning
from gauntlet.jobs.reports.frames import Figures
from gauntlet.jobs.reports.matrix import Matrix, View
from gauntlet.jobs.reports.matrix_text import print_matrix
from gauntlet.jobs.reports.plain_text import spreadsheet_cell
from gauntlet.jobs.reports.terminal import Terminal
from gauntlet.jobs.reports.written_plan import WrittenPlan, written_plan
from gauntlet.pipeline import results
from gauntlet.pipeline.evaluation.success_rates import ATTACK, GROUP, TARGET, present
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.results import RunFolder
from gauntlet.pipeline.results.reading import Reading, units_of_complete

RATES = (
    *("success", "success_all", "loo", "loo_all", "clean_rate", "score", "transfer_utility", "l2"),
)
"""Figures whose mean and deviation over the runs are given."""
OTHERS = (
    "rates of the examples that a target got right before the attack, in every run by itself; "
    "--csv FILE has the rates of all examples, clean rates and leave-one-out, too"
)
_FREE = {"name", "seed", "resources"}
"""Fields of a plan in which runs of one job may differ."""


def over_runs(runs: Sequence[str]) -> pd.DataFrame:
    """Return the mean and the sample deviation (divisor runs - 1) of every figure over runs.

    Args:
        runs: folders of two or more runs of one job, each with its own seed.

    Returns:
        One row an attack x group (`level` group) and attack x target (`level` target), by each rule
        of thresholds where there are several (`threshold_rule`, the headline first), with
        ``runs``, the number of them, and ``NAME_mean`` and ``NAME_sd`` for the figures of `RATES`.

    Raises:
        BadInput: when the runs are not of one job, share a seed, or are not all finished.
        ValueError: when there is no run in a folder.
    """
    _check_alike(runs)
    tables = [Figures(Reading(run)).whole().assign(run=run) for run in runs]
    every = pd.concat(tables, ignore_index=True)
    keys = present(every, ("level", "threshold_rule", *ATTACK, *GROUP, TARGET[0], "targets"))
    groups = every.groupby(keys, sort=False, dropna=False)
    table = groups.agg(runs=("run", "size")).reset_index()
    short = table[table["runs"] != len(runs)]
    if len(short):
        row = short.iloc[0]
        raise BadInput(
            Problem(
                str(runs[0]),
                f"{row['attack']!r} on {row['group']!r} has figures in {row['runs']} of "
                f"{len(runs)} runs; finish the others with `gauntlet resume`",
            )
        )
    for name in present(every, RATES):
        table[f"{name}_mean"] = groups[name].mean().to_numpy()
        table[f"{name}_sd"] = groups[name].std(ddof=1).to_numpy()
    return table


def matrix_over_runs(
    runs: Sequence[str], frame: pd.DataFrame, view: View, order: Sequence[str]
) -> Matrix:
    """Return mean and deviation over runs as a matrix; nothing in it is marked.

    Args:
        runs: folders of the runs.
        frame: from `over_runs`.
        view: which matrix.
        order: the targets, as the job lists them.

    Raises:
        BadInput: as `arranging.matrix_of`.
    """
    if "threshold_rule" in frame:  # the headline's; --csv has the others, too
        frame = frame[frame["threshold_rule"] == frame["threshold_rule"].iloc[0]]
    matrix = matrix_of_means(frame, view, order)
    title = f"{len(runs)} runs, other seeds: mean ± standard deviation, {matrix.title}"
    return replace(matrix, title=title)


def print_over_runs(runs: Sequence[str], matrix: Matrix, console: Terminal) -> None:
    """Print mean and deviation over runs.

    Args:
        runs: folders of the runs.
        matrix: from `matrix_over_runs`.
        console: where to.
    """
    for run in runs:
        for text in results.manifest(run).warnings:
            print_warning(f"{run}: {text}", console)
    print_matrix(console, matrix)
    console.print(OTHERS, style="dim")


def write_csv_over_runs(frame: pd.DataFrame, path: Path) -> None:
    """Write `over_runs` as CSV; no text in it is a formula to a spreadsheet."""
    frame.map(spreadsheet_cell).to_csv(path, index=False)


def _check_alike(runs: Sequence[str]) -> None:
    if len(runs) < 2:
        raise BadInput(Problem("", "mean and deviation need two runs or more"))
    plans = [written_plan(run) for run in runs]
    problems = []
    for run, plan in zip(runs[1:], plans[1:], strict=True):
        # As they are written, they nearly always agree; then no plan needs to be understood.
        if _compared(plan) != _compared(plans[0]) and (differ := _differing(runs[0], run)):
            what = f"is not a run of the same job as {runs[0]}: {', '.join(differ)} differ"
            problems.append(Problem(run, what))
    seen: dict[int, str] = {}
    for run, plan in zip(runs, plans, strict=True):
        if plan.seed in seen:
            what = f"has the seed {plan.seed} of {seen[plan.seed]}; runs must have other seeds"
            problems.append(Problem(run, what))
        seen.setdefault(plan.seed, run)
    problems += [Problem(run, left) for run in runs if (left := _unfinished(run)) is not None]
    if problems:
        raise BadInput(problems)


def _unfinished(run: str) -> str | None:
    """Return what is left of a run, or None when all its units are finished."""
    if units_of_complete(run) is not None:
        return None
    begun = RunFolder(run).exists("manifest.json")
    if begun and (failed := results.manifest(run).units.failed):
        return f"{failed} units of work failed; try them again with `gauntlet resume {quote(run)}`"
    return f"is not finished; go on with `gauntlet resume {quote(run)}`"


def _compared(plan: WrittenPlan) -> dict[str, Any]:
    return plan.model_dump(exclude=_FREE)


def _differing(one: str, other: str) -> list[str]:
    """Return the fields in which the plans of two runs differ, whatever version wrote them."""
    # What a plan of an older version leaves out, the whole model fills in, which takes torch.
    from gauntlet.pipeline.run.plan import plan_of

    first, second = (plan_of(run).model_dump(mode="json", exclude=_FREE) for run in (one, other))
    return [name for name in first if first[name] != second[name]]
