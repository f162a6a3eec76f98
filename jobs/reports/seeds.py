"""Runs of one job with different seeds: mean and deviation (specification 5.3)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from gauntlet.jobs.reports.doubts import print_warning
from gauntlet.jobs.reports.frames import Figures
from gauntlet.jobs.reports.notes import LOO
from gauntlet.jobs.reports.plain_text import spreadsheet_cell
from gauntlet.jobs.reports.table_cells import has, judge_words
from gauntlet.jobs.reports.tables import figures, names, print_table
from gauntlet.jobs.reports.terminal import Terminal
from gauntlet.pipeline import results
from gauntlet.pipeline.evaluation.success_rates import ATTACK, GROUP, TARGET, present
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.results import RunFolder, records
from gauntlet.pipeline.results.reading import Reading, units_of_complete
from gauntlet.pipeline.results.records import check_run

RATES = ("success", "success_all", "loo", "loo_all", "clean_rate", "transfer_utility", "l2")
"""Figures whose mean and deviation over the runs are given."""
_FREE = {"name", "seed", "resources"}
"""Fields of a plan in which runs of one job may differ."""


_Section = dict[str, Any]
_Sections = Annotated[list[_Section], Field(min_length=1)]


class _Written(BaseModel):
    """A plan as it is written: what plans of every version have, by which damage is noticed."""

    model_config = ConfigDict(extra="allow")

    task: _Section
    data: _Section
    surrogates: _Sections
    targets: _Sections
    attacks: _Sections
    seed: int


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


def print_over_runs(
    runs: Sequence[str], frame: pd.DataFrame, console: Terminal, targets: bool = False
) -> None:
    """Print mean and deviation over runs, by group or by target.

    Args:
        runs: folders of the runs.
        frame: from `over_runs`.
        console: where to.
        targets: show every target, not only groups.
    """
    by = "target" if targets else "group"
    frame = frame[frame["level"] == by]
    if "threshold_rule" in frame:  # the headline's; --csv has the others, too
        frame = frame[frame["threshold_rule"] == frame["threshold_rule"].iloc[0]]
    for run in runs:
        for text in results.manifest(run).warnings:
            print_warning(f"{run}: {text}", console)
    headings = {"success": "success %", "success_all": "of all %", "clean_rate": "clean right %"}
    headings |= {"loo": "LOO %", "loo_all": "LOO of all %"} if has(frame, "loo_all_mean") else {}
    rows = []
    for row in frame.to_dict("records"):
        cells = [spread_words(row[f"{name}_mean"], row[f"{name}_sd"]) for name in headings]
        rows.append([str(row["attack"]), judge_words(row, by), *cells])
    title = f"{len(runs)} runs, other seeds: mean ± standard deviation, attack x {by}"
    columns = [*names("attack", by), *figures(*headings.values())]
    print_table(console, title, columns, rows, nested=True, elsewhere="--csv FILE has all")
    if "loo" in headings:
        console.print(LOO, style="dim")


def write_csv_over_runs(frame: pd.DataFrame, path: Path) -> None:
    """Write `over_runs` as CSV; no text in it is a formula to a spreadsheet."""
    frame.map(spreadsheet_cell).to_csv(path, index=False)


def spread_words(mean: float, deviation: float) -> str:
    """Return a mean share and its deviation in percent, or a dash."""
    if pd.isna(mean):
        return "-"
    return f"{100 * mean:.1f} ± {'-' if np.isnan(deviation) else f'{100 * deviation:.1f}'}"


def _check_alike(runs: Sequence[str]) -> None:
    if len(runs) < 2:
        raise BadInput(Problem("", "mean and deviation need two runs or more"))
    plans = [_plan(run) for run in runs]
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


def _plan(run: str) -> _Written:
    check_run(run)
    remedy = "without it {} has no job to compare: put it back from a copy, or leave the run out"
    return records.record(RunFolder(run), "plan.json", _Written.model_validate_json, remedy)


def _compared(plan: _Written) -> dict[str, Any]:
    return plan.model_dump(exclude=_FREE)


def _differing(one: str, other: str) -> list[str]:
    """Return the fields in which the plans of two runs differ, whatever version wrote them."""
    # What a plan of an older version leaves out, the whole model fills in, which takes torch.
    from gauntlet.pipeline.run.plan import plan_of

    first, second = (plan_of(run).model_dump(mode="json", exclude=_FREE) for run in (one, other))
    return [name for name in first if first[name] != second[name]]
