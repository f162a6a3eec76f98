"""Leave-one-out choice of the step (interaction paper, App. S; specification 0.5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from gauntlet.pipeline.evaluation.statistics import wilson
from gauntlet.pipeline.evaluation.success_rates import ATTACK, GROUP, TARGET, counted, present

Reals = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

FIGURES = ("loo", "low_loo", "high_loo", "loo_all", "low_loo_all", "high_loo_all")


@dataclass(frozen=True)
class LeaveOneOut:
    """Success at the step that the other images recommend.

    Attributes:
        rate: mean over the images, in [0, 1].
        chosen: column of each image's step, int64 (n,).
        success: of each image at that step, float64 (n,).
    """

    rate: float
    chosen: npt.NDArray[np.int64]
    success: Reals


def leave_one_out(success: npt.ArrayLike) -> LeaveOneOut:
    """Choose each image's step by the success of all other images, and take its success there.

    t*_i = argmax_t sum_{j != i} S[j, t], the first of equals; Transferability = mean_i S[i, t*_i].
    The choice uses the target's own answers, so that the figure is the leave-one-out rate and not
    the attack's success: it must be named as such beside the last step's (spec. trap 19). For one
    image every step is as good as any, and the first is taken.

    Args:
        success: S, (n, T): whether, or in which share of its evaluations, an image succeeds.

    Raises:
        ValueError: when S is not a table of at least one image and step, or has missing entries.
    """
    table = np.asarray(success, dtype=np.float64)
    if table.ndim != 2 or not table.size:
        raise ValueError(f"success must have shape (images, steps), got {table.shape}")
    if np.isnan(table).any():
        raise ValueError(f"{int(np.isnan(table).sum())} images x steps have no verdict")
    # Shares of a randomised target carry rounding errors, which must not break a tie.
    others = np.round(table.sum(0) - table, 9)
    chosen = others.argmax(1)
    found = np.take_along_axis(table, chosen[:, None], axis=1)[:, 0]
    return LeaveOneOut(float(found.mean()), chosen.astype(np.int64), found)


def loo_by_target(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Return the leave-one-out rates, one row an attack x target judged at several steps.

    Args:
        verdicts: as for `success_rates.by_target`, at all evaluated steps.

    Returns:
        The columns that name attack and target, ``evaluated_steps``, and ``loo`` over the examples
        that the target got right before the attack (the headline; NaN if there are none) with its
        95 % Wilson interval ``low_loo``, ``high_loo``, and ``loo_all``, ``low_loo_all``,
        ``high_loo_all`` over all examples; each has its own choice of steps, made on its own
        ``n`` or ``n_all`` examples. Empty when no attack was judged at several steps.

    Raises:
        ValueError: as `by_target`, or when an example lacks a step that others have.
    """
    if "step" not in verdicts:
        raise ValueError("the verdicts table has no column step")
    return loo_rates(counted(verdicts))


def loo_rates(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the figures of `loo_by_target`.

    Args:
        frame: verdicts from `success_rates.counted`, with the column ``step``.

    Raises:
        ValueError: when an example lacks a step that others have.
    """
    keys = present(frame, (*ATTACK, *TARGET))
    group = frame.groupby(keys, sort=False, dropna=False, observed=True).ngroup().to_numpy()
    order = np.argsort(group, kind="stable")
    examples = frame["example"].factorize(sort=True)[0]
    step, success = frame["step"].to_numpy(), frame["success"].to_numpy()
    right = frame["right"].to_numpy()
    found: list[tuple[int, int, Reals, Flags]] = []
    for rows in np.split(order, np.flatnonzero(np.diff(group[order])) + 1) if len(frame) else ():
        steps, column = np.unique(step[rows], return_inverse=True)
        if len(steps) < 2:
            continue
        ids, row = np.unique(examples[rows], return_inverse=True)
        table, counts = np.full((len(ids), len(steps)), np.nan), np.empty(len(ids), np.bool_)
        table[row, column] = success[rows]
        counts[row[::-1]] = right[rows][::-1]  # by an example's first row
        found.append((rows[0], len(steps), table, counts))
    names = frame[keys].iloc[[first for first, *_ in found]].to_dict("records")
    made = [
        name | {"evaluated_steps": steps} | _figures(table, counts)
        for name, (_, steps, table, counts) in zip(names, found, strict=True)
    ]
    return pd.DataFrame(made, columns=[*keys, "evaluated_steps", *FIGURES, "n", "n_all"])


def _figures(table: Reals, right: Flags) -> dict[str, float | int]:
    """Return the figures of one target from success, (n, T), and which images count, (n,)."""
    row: dict[str, float | int] = {}
    for suffix, matrix in (("", table[right]), ("_all", table)):
        n = len(matrix)
        rate = leave_one_out(matrix).rate if n else np.nan
        low, high = wilson(rate * n if n else 0.0, n)
        row |= {f"loo{suffix}": rate, f"low_loo{suffix}": float(low)}
        row |= {f"high_loo{suffix}": float(high), f"n{suffix}": n}
    return row


def loo_by_group(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Return the leave-one-out rates, one row an attack x group of targets.

    Rates are means over the group's targets; their interval is Wilson's on the smallest number of
    examples that any counted target has, as in `success_rates.by_group`.

    Args:
        verdicts: as for `loo_by_target`.

    Returns:
        The columns that name attack and group, ``evaluated_steps``, and the figures of
        `loo_by_target`.

    Raises:
        ValueError: as `loo_by_target`.
    """
    return loo_grouped(loo_by_target(verdicts))


def loo_grouped(table: pd.DataFrame) -> pd.DataFrame:
    """Return the figures of `loo_by_group`.

    Args:
        table: from `loo_by_target`.
    """
    table, keys = table.copy(), present(table, (*ATTACK, *GROUP))
    for suffix in ("", "_all"):
        table[f"n{suffix}"] = table[f"n{suffix}"].where(table[f"n{suffix}"] > 0)
    groups = table.groupby(keys, sort=False, dropna=False, observed=True)
    names = ["loo", "loo_all", "evaluated_steps"]
    result = groups[names].mean().join(groups[["n", "n_all"]].min()).reset_index()
    for suffix in ("", "_all"):
        n = result[f"n{suffix}"].fillna(0.0)
        low, high = wilson(result[f"loo{suffix}"].fillna(0.0) * n, n)
        result[f"low_loo{suffix}"], result[f"high_loo{suffix}"] = low, high
    result["evaluated_steps"] = result["evaluated_steps"].astype(np.int64)
    return result[[*keys, "evaluated_steps", *FIGURES]]
