"""The cells of a summary's tables as text: what terminal, page and drawings call the same thing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd


def cells(frame: pd.DataFrame, by: str) -> tuple[list[str], list[list[str]]]:
    """Return the headings and rows of a summary table as text.

    Args:
        frame: from `gauntlet.jobs.reports.frames.Figures`, groups or targets.
        by: ``group`` or ``target``.
    """
    loo, utility = has(frame, "loo_all"), has(frame, "transfer_utility")
    headings = ["attack", by, "success %", "n", "of all %", "n", "clean right %"]
    headings += [*(["LOO %"] if loo else []), *(["utility"] if utility else [])]
    rows = []
    for row in frame.to_dict("records"):
        entry = [str(row["attack"]), judge_words(row, by), rate(row, "success"), str(row["n"])]
        entry += [rate(row, "success", "_all"), str(row["n_all"]), percent(row["clean_rate"])]
        if loo:
            entry.append(rate(row, "loo"))
        if utility:
            entry.append(number(row["transfer_utility"]))
        rows.append([*entry, number(row["linf"]), number(row["l2"])])
    return [*headings, "linf", "l2"], rows


def judge_words(row: Mapping[Any, Any], by: str) -> str:
    """Return what a row calls its target or group of targets."""
    name = str(row[by])
    if row["white_box"] and name != "white-box":
        name += " (white box)"
    count = row.get("targets")
    return f"{name} x {count}" if count is not None and count > 1 else name


def rate(row: Mapping[Any, Any], name: str, suffix: str = "") -> str:
    """Return a rate with its interval, in percent."""
    if pd.isna(row[f"{name}{suffix}"]):
        return "-"
    ends = {"success": ("low", "high"), "loo": ("low_loo", "high_loo")}[name]
    low, high = (100 * row[f"{end}{suffix}"] for end in ends)
    spread = row.get("success_sd", float("nan")) if (name, suffix) == ("success", "") else None
    over = "" if spread is None or pd.isna(spread) else f" ± {100 * spread:.1f}"
    return f"{100 * row[f'{name}{suffix}']:.1f}{over} ({low:.1f}-{high:.1f})"


def percent(value: float) -> str:
    """Return a share in percent, or a dash."""
    return "-" if pd.isna(value) else f"{100 * value:.1f}"


def number(value: float) -> str:
    """Return a number with two decimals, or a dash."""
    return "-" if pd.isna(value) else f"{value:.2f}"


def has(table: pd.DataFrame, column: str) -> bool:
    """Return whether a column is there and holds a figure."""
    return column in table and bool(table[column].notna().any())
