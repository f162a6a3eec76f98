"""The thresholds of a run's targets, and its success at each of several."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from gauntlet.jobs.reports.grid import figures, names
from gauntlet.jobs.reports.table_cells import judge_words, rate
from gauntlet.jobs.reports.tables import print_table
from gauntlet.jobs.reports.terminal import Terminal


def print_thresholds(table: pd.DataFrame, console: Terminal) -> None:
    """Print a run's thresholds; ``table`` has rows of the table `thresholds`."""
    headings, rows = threshold_cells(table)
    columns = [*names(*headings[:2]), *figures(*headings[2:])]
    print_table(console, "thresholds", columns, rows, nested=True)


def threshold_cells(table: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Return the headings and rows of a run's thresholds as text.

    Args:
        table: rows of the table `thresholds`.
    """
    headings = ["target", "rule", "threshold", "false accepts %", "of", "true accepts %", "of"]
    rows = []
    for row in table.to_dict("records"):
        threshold = f"{row['threshold']:.4f}"
        if not pd.isna(row["threshold_low"]):
            threshold += f" ({row['threshold_low']:.4f} to {row['threshold_high']:.4f})"
        false = _percent(row["false_accept_rate"])
        if false != "-":
            low, high = _percent(row["false_accept_low"]), _percent(row["false_accept_high"])
            false += f" ({low}-{high})"
        rows.append(
            [
                *(str(row["target"]), str(row["threshold_rule"]), threshold),
                *(false, _count(row["impostors"])),
                *(_percent(row["true_accept_rate"]), _count(row["genuine"])),
                _percent(row["equal_error_rate"]),
            ]
        )
    return [*headings, "equal error %"], rows


def success_cells(
    by_rule: Mapping[str, pd.DataFrame], by: str
) -> tuple[list[str], list[list[str]]]:
    """Return the headings and rows of the success at each rule's thresholds as text.

    Args:
        by_rule: tables of `gauntlet.jobs.reports.frames.Figures` by each rule, in one order.
        by: ``group`` or ``target``.
    """
    tables = [table.to_dict("records") for table in by_rule.values()]
    headings = ["attack", by, *(part for rule in by_rule for part in (f"{rule} %", "n"))]
    rows = []
    for same in zip(*tables, strict=True):
        cells = [part for row in same for part in (rate(row, "success"), str(row["n"]))]
        rows.append([str(same[0]["attack"]), judge_words(same[0], by), *cells])
    return headings, rows


def _percent(share: float) -> str:
    """Return a share in percent, as exact as few errors among many pairs need."""
    return "-" if pd.isna(share) else f"{100 * share:.3g}"


def _count(count: float) -> str:
    return "-" if pd.isna(count) else f"{int(count):,}"
