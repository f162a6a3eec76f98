"""Every attack of a run beside one of them, on the same examples, for every output."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from gauntlet.jobs.reports.frames import Figures
from gauntlet.jobs.reports.grid import names, texts
from gauntlet.jobs.reports.tables import print_table
from gauntlet.jobs.reports.terminal import Terminal
from gauntlet.pipeline.evaluation.comparison import (
    COMPARED,
    WHITE_BOX,
    compared,
    unfit_reference,
)
from gauntlet.pipeline.problems import BadInput, Problem

FIGURES = ("difference", "difference_low", "difference_high", "p_value", "shown")
NOTHING = "no target judged two attacks on the same examples: nothing to compare"


def check_against(found: Figures, reference: str) -> None:
    """Check that a run's attacks can be compared with one of them.

    Raises:
        BadInput: when the run has no such attack, or no other one.
    """
    if unfit := unfit_reference(found.verdicts.attacks, reference):
        raise BadInput(Problem("--against", unfit))


def against(found: Figures, reference: str, targets: bool = False) -> pd.DataFrame:
    """Return how every attack compares with one of them.

    Args:
        found: the run's figures.
        reference: the label of that one.
        targets: compare on every target by itself, not on groups.

    Returns:
        One row an attack x group, or target: ``level``, ``judge`` (its name), ``white_box``,
        ``attack``, ``against``, ``difference`` of the success rates with its 95 % interval
        (``difference_low``, ``difference_high``), McNemar's ``p_value`` where it applies, and
        whether a difference is ``shown``.

    Raises:
        ValueError: when the run has no such attack, or no other one.
    """
    level = "target" if targets else "group"

    def verdicts(label: str) -> pd.DataFrame:
        frame = found.verdicts.at_last_step(label, COMPARED)
        return frame.assign(group=frame["target"]) if targets else frame

    rows = []
    for judge, label, result in compared(verdicts, found.attacks, reference):
        gain, test = result.difference, result.mcnemar
        p_value = float("nan") if test is None else test.p_value
        box = judge.endswith(WHITE_BOX) or judge == "white-box"
        name = judge.removesuffix(WHITE_BOX)
        figures = (gain.value, gain.low, gain.high, p_value, result.shown)
        rows.append((level, name, box, label, reference, *figures))
    columns = ["level", "judge", "white_box", "attack", "against", *FIGURES]
    return pd.DataFrame(rows, columns=columns)


def print_against(table: pd.DataFrame, reference: str, console: Terminal) -> None:
    """Print a comparison that `against` made."""
    if table.empty:
        console.print(NOTHING)
        return
    headings, rows = against_cells(table)
    columns = [*names(*headings[:2]), *texts(*headings[2:])]
    print_table(console, against_title(reference), columns, rows)


def against_title(reference: str) -> str:
    """Return what a comparison is called wherever it stands."""
    return f"against {reference}, on the same examples"


def against_cells(table: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Return headings and rows of a comparison that `against` made, as text."""
    rows = []
    for row in table.to_dict("records"):
        low, high = 100 * row["difference_low"], 100 * row["difference_high"]
        points = f"{100 * row['difference']:+.1f} [{low:+.1f}, {high:+.1f}]"
        if not pd.isna(row["p_value"]):
            points += f", McNemar p = {row['p_value']:.2g}"
        better = "better" if row["difference"] > 0 else "worse"
        apart = row["white_box"] and row["judge"] != "white-box"
        judge = f"{row['judge']}{WHITE_BOX}" if apart else row["judge"]
        words = better if row["shown"] else "no difference shown"
        rows.append([judge, row["attack"], points, words])
    level = "group" if table.empty else str(table["level"].iloc[0])
    return [level, "attack", "points [95 %]", "verdict"], rows


def beside_rates(whole: pd.DataFrame, tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return a run's rates with the comparisons of the same attack, group or target beside them.

    Args:
        whole: from `Figures.whole`; of several judged steps only the last is compared.
        tables: from `against`, by group and perhaps by target.
    """
    found = pd.concat([table for table in tables if len(table)] or [*tables], ignore_index=True)
    judge = whole["target"].where(whole["level"] == "target", whole["group"])
    keys = ["level", "judge", "white_box", "attack"]
    if "step" in whole:
        last = whole["step"] == whole.groupby("attack")["step"].transform("max")
        judge = judge.where(last)
    # A comparison of white boxes is of those that are one for both attacks.
    joined = whole.assign(judge=judge).merge(found.astype({"white_box": bool}), "left", on=keys)
    return joined.drop(columns="judge")
