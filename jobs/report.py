"""The summary of a run: success of each attack on each group of targets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from jobs.comparison import against
from pipeline import results
from pipeline.evaluation.summary import by_group, by_target

HEADLINE = (
    "success: of the n examples that the target got right before the attack (the headline); "
    "of all: of all examples; in brackets 95 % intervals; linf, l2: mean change in 8-bit steps"
)
"""What the table's figures are; the verdicts hold both denominators."""


def print_report(run: str, console: Console, targets: bool = False) -> None:
    """Print a run's summary table, its failures, and where and how to read the rest.

    Args:
        run: the run's folder.
        console: where to.
        targets: add the table of single targets.

    Raises:
        ValueError: when there is no run in the folder.
    """
    verdicts = results.read(run, "verdicts")
    if verdicts.empty:
        console.print("no verdicts yet: no unit of work has finished")
    else:
        groups = _in_job_order(by_group(verdicts), run)
        console.print(_table(groups, "group", "attack x target group"))
        if targets:
            singles = _in_job_order(by_target(verdicts), run)
            console.print(_table(singles, "target", "attack x target"))
        console.print(HEADLINE, style="dim")
    _print_failures(results.read(run, "failures"), console)
    console.print(f"results: {run}", markup=False, highlight=False, soft_wrap=True)
    console.print(
        f'read them: pandas.read_parquet("{run.rstrip("/")}/verdicts")',
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def print_comparison(run: str, reference: str, console: Console) -> None:
    """Print how every attack of a run compares with one of them, on the same examples.

    Raises:
        BadInput: when the run has no such attack.
    """
    table = Table(
        title=f"against {escape(reference)}, on the same examples",
        title_justify="left",
        box=SIMPLE,
        pad_edge=False,
    )
    for heading in ("group", "attack", "points [95 %]", "verdict"):
        table.add_column(heading, overflow="fold")
    verdicts = _in_job_order(results.read(run, "verdicts"), run)
    for group, label, found in against(verdicts, reference):
        gain = found.difference
        points = f"{100 * gain.value:+.1f} [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]"
        if found.mcnemar is not None:
            points += f", McNemar p = {found.mcnemar.p_value:.2g}"
        shown = not found.words.startswith("no difference shown")
        word = ("better" if gain.value > 0 else "worse") if shown else "no difference shown"
        table.add_row(escape(group), escape(label), escape(points), word)
    console.print(table)


def summary(run: str) -> pd.DataFrame:
    """Return the rates by group and by target in one frame; `level` tells them apart.

    Raises:
        ValueError: when there is no run in the folder.
    """
    verdicts = results.read(run, "verdicts")
    groups, targets = (_in_job_order(by(verdicts), run) for by in (by_group, by_target))
    groups.insert(0, "level", "group")
    targets.insert(0, "level", "target")
    whole = pd.concat([groups, targets], ignore_index=True)
    counts = ["targets", "targets_counted"]
    return whole.astype(dict.fromkeys(counts, "Int64"))


def write_csv(run: str, path: Path) -> None:
    """Write `summary` as CSV."""
    summary(run).to_csv(path, index=False)


def _in_job_order(frame: pd.DataFrame, run: str) -> pd.DataFrame:
    """Sort attacks as the job lists them: the tables have them in the order of their files."""
    labels = [attack["attack"] for attack in results.manifest(run)["attacks"]]
    position = {label: place for place, label in enumerate(labels)}
    key = frame["attack"].map(lambda label: position.get(label, len(labels)))
    return frame.iloc[key.argsort(kind="stable")]


def _table(frame: pd.DataFrame, by: str, title: str) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE, pad_edge=False)
    table.add_column("attack", overflow="fold")
    table.add_column(by, overflow="fold")
    for heading in ("success %", "n", "of all %", "n", "clean right %", "linf", "l2"):
        table.add_column(heading, justify="right", no_wrap=True)
    previous = None
    for row in frame.to_dict("records"):
        table.add_row(
            escape(str(row["attack"])) if row["attack"] != previous else "",
            escape(_target(row, by)),
            _rate(row, ""),
            str(row["n"]),
            _rate(row, "_all"),
            str(row["n_all"]),
            _percent(row["clean_rate"]),
            f"{row['linf']:.2f}",
            f"{row['l2']:.2f}",
        )
        previous = row["attack"]
    return table


def _target(row: Mapping[Any, Any], by: str) -> str:
    name = str(row[by])
    if row["white_box"] and name != "white-box":
        name += " (white box)"
    count = row.get("targets")
    return f"{name} x {count}" if count is not None and count > 1 else name


def _rate(row: Mapping[Any, Any], suffix: str) -> str:
    if pd.isna(row[f"success{suffix}"]):
        return "-"
    low, high = 100 * row[f"low{suffix}"], 100 * row[f"high{suffix}"]
    return f"{100 * row[f'success{suffix}']:.1f} ({low:.1f}-{high:.1f})"


def _percent(value: float) -> str:
    return "-" if pd.isna(value) else f"{100 * value:.1f}"


def _print_failures(failures: pd.DataFrame, console: Console) -> None:
    if failures.empty:
        return
    counts = failures["stage"].value_counts()
    parts = [f"{counts[stage]} at stage {stage!r}" for stage in counts.index]
    console.print(f"failures: {', '.join(parts)}", style="yellow", highlight=False)
    for _, row in failures.head(3).iterrows():
        subject = row["example"] or row["attack"] or row["unit"]
        console.print(
            f"  {subject}: {row['reason']}", markup=False, highlight=False, soft_wrap=True
        )
    if len(failures) > 3:
        console.print(f"  ... and {len(failures) - 3} more in the failures table")
