"""Success rates of a run, from its verdicts table, with both denominators (spec. trap 5)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gauntlet.pipeline.evaluation.exact_sums import ExactSums
from gauntlet.pipeline.evaluation.over_seeds import SPREAD, averaged, spreads
from gauntlet.pipeline.evaluation.statistics import wilson

ATTACK = ("attack", "base", "rule", "norm", "epsilon")
"""What names an attack in the summaries, as far as the verdicts have the column."""
TARGET = ("target", "group", "white_box")
GROUP = ("group", "white_box")
CELL = ("attack", "target", "example", "step")
"""What tells verdicts apart, beside the seed."""
AVERAGED = ("score", "transfer_utility", "linf", "l2")
"""Columns whose mean over all examples is shown."""
MEANS = ("success", "success_all", "clean_rate", *AVERAGED)


def last_step(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Return the verdicts on each attack's last evaluated step."""
    if "step" not in verdicts:
        return verdicts
    last = verdicts.groupby("attack", observed=True)["step"].transform("max")
    return verdicts[verdicts["step"] == last]


def by_target(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Return one row an attack x target, at the attack's last step.

    Args:
        verdicts: columns ``example, attack, target, group, white_box, success`` and
            ``clean_correct`` (nullable); optionally ``base, rule, norm, epsilon, step, linf,
            l2``, and ``goal, score, clean_score``.

    Returns:
        The columns that name attack and target, and

        - ``success``: the headline: success rate over the ``n`` examples that the target got right
          before the attack, with its 95 % Wilson interval ``low``, ``high``; NaN, 0, 0 and 1 when
          there is no such example, or none of which it is known;
        - ``success_all``: success rate over all ``n_all`` examples, ``low_all``, ``high_all``;
        - ``clean_rate``: share of examples that the target got right before the attack, of those of
          which it is known; NaN when of none;
        - ``score``: mean over all examples;
        - ``transfer_utility``: mean over all examples of ``score - clean_score``, the gain in the
          margin max_{y' != y} h_y' - h_y, whose maximum is taken at each image by itself
          (specification 5.3); NaN unless the goal is untargeted;
        - ``linf``, ``l2``: mean distances over all examples, 8-bit steps;
        - where an attack has several seeds, ``seeds`` and ``success_sd``, the sample deviation of
          its success over them; ``low`` and ``high`` are then over examples and seeds.

    Raises:
        ValueError: when a needed column is missing, or an example occurs twice for an attack and
            target.
    """
    last = last_step(verdicts)
    return beside(rates(counted(last), (*ATTACK, *TARGET)), spreads(last, ("target",)))


def rates(frame: pd.DataFrame, by: tuple[str, ...]) -> pd.DataFrame:
    """Return the figures of `by_target`, one row for each combination of the columns in ``by``.

    Args:
        frame: verdicts from `counted`.
        by: columns that name a row, as far as the verdicts have them.
    """
    keys = present(frame, by)
    groups = frame.groupby(keys, sort=False, dropna=False, observed=True)
    exact = ExactSums(groups)
    table = pd.DataFrame(
        {"n": groups["right"].sum(), "n_all": groups.size(), "known": groups["known"].sum()}
    )
    table = table.reset_index().assign(
        successes=exact.sum("right_success"),
        successes_all=exact.sum("success"),
        **{name: exact.mean(name) for name in present(frame, AVERAGED)},
    )
    table["clean_rate"] = _ratio(table["n"], table["known"])
    for suffix in ("", "_all"):
        successes, n = table.pop(f"successes{suffix}"), table[f"n{suffix}"]
        table[f"success{suffix}"] = _ratio(successes, n)
        table[f"low{suffix}"], table[f"high{suffix}"] = wilson(successes, n)
    return table[[*keys, *_figures(table)]]


def by_group(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Return one row an attack x group of targets, at the attack's last step.

    White-box rates are kept apart: where some of a group's targets are surrogates of the attack,
    the group has a row for those (``white_box`` true) and a row for the others.

    Rates, clean rates and distances are means over the group's targets, each target counting once
    (``targets`` says how many; a target without an example that counts is left out of the
    headline, and ``targets_counted`` says how many are in it). Their 95 % interval is Wilson's,
    for the group's mean rate on the *examples*: ``n`` is the smallest number of examples that any
    counted target has, not the number of verdicts, because verdicts of several targets on one
    example are not independent. An example's mean success over targets varies no more than a coin
    with the same mean, so that the interval is on the wide side; and it keeps its width at 0 % and
    100 %, where a bootstrap has none.

    Args:
        verdicts: as for `by_target`.

    Returns:
        The columns that name attack and group, ``targets``, ``targets_counted``, and the figures of
        `by_target`.

    Raises:
        ValueError: as `by_target`.
    """
    last = last_step(verdicts)
    table = rates(counted(last), (*ATTACK, *TARGET))
    return beside(grouped(table, (*ATTACK, *GROUP)), spreads(last, GROUP))


def beside(table: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """Return figures of targets or groups with how far those of several seeds vary.

    Where no attack has several the figures are as they were. Else they have the columns of
    `over_seeds.spreads`, whose interval stands in place of Wilson's, which knows one seed.

    Args:
        table: from `rates` or `grouped`.
        found: from `over_seeds.spreads`, of the same targets or groups.
    """
    if found.empty:
        return table
    keys = [name for name in found if name not in SPREAD]
    table = table.merge(found, "left", on=keys, suffixes=("", "_over_seeds"))
    for end in ("low", "high"):
        table[end] = table.pop(f"{end}_over_seeds").fillna(table[end])
    return table.astype({"seeds": "Int64"})


def grouped(table: pd.DataFrame, by: tuple[str, ...]) -> pd.DataFrame:
    """Return the figures of `by_group`, one row for each combination of the columns in ``by``.

    Args:
        table: from `rates`, one row a target.
        by: columns that name a row, as far as the table has them.
    """
    table = table.assign(n=table["n"].where(table["n"] > 0))
    keys = present(table, by)
    groups = table.groupby(keys, sort=False, dropna=False, observed=True)
    result = pd.DataFrame(
        {
            "targets": groups["target"].size(),
            "targets_counted": groups["n"].count(),
            "n": groups["n"].min(),
            "n_all": groups["n_all"].min(),
        }
        | {name: groups[name].mean() for name in present(table, MEANS)}
    ).reset_index()
    result["n"] = result["n"].fillna(0).astype(np.int64)
    for suffix in ("", "_all"):
        rate, n = result[f"success{suffix}"], result[f"n{suffix}"]
        result[f"low{suffix}"], result[f"high{suffix}"] = wilson(rate.fillna(0.0) * n, n)
    return result[[*keys, "targets", "targets_counted", *_figures(result)]]


def counted(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Return the verdicts with what the rates are made of: whether each counts, and its success.

    Of an attack under several seeds an example has one row: the means over them.

    Args:
        verdicts: as for `by_target`, at any number of steps.

    Returns:
        The verdicts with ``known``: whether the target's clean answer is known; ``right``: whether
        it was right; ``right_success``: success where it was, else 0; and ``transfer_utility``
        where the verdicts have scores.

    Raises:
        ValueError: when a needed column is missing, or an example occurs twice for an attack,
            target and step.
    """
    needed = ("example", "attack", "target", "group", "white_box", "success", "clean_correct")
    missing = [name for name in needed if name not in verdicts]
    if missing:
        raise ValueError(f"the verdicts table has no column {', '.join(missing)}")
    frame = verdicts.copy()
    repeated = frame.duplicated(present(frame, (*CELL, "seed")))
    if repeated.any():
        row = frame[repeated].iloc[0]
        raise ValueError(
            f"example {row['example']!r} occurs twice for attack {row['attack']!r} and target "
            f"{row['target']!r}"
        )
    frame["success"] = frame["success"].astype(np.float64)
    frame = averaged(frame, CELL)
    correct = frame["clean_correct"].astype("boolean")
    frame["known"] = correct.notna()
    frame["right"] = correct.fillna(False).astype(np.bool_)
    frame["right_success"] = frame["success"].where(frame["right"], 0.0)
    if {"goal", "score", "clean_score"} <= set(frame.columns):
        gain = frame["score"] - frame["clean_score"]
        frame["transfer_utility"] = gain.where(frame["goal"] == "untargeted")
    return frame


def present(frame: pd.DataFrame, names: tuple[str, ...]) -> list[str]:
    """Return those of the names that are columns of the frame."""
    return [name for name in names if name in frame]


def _figures(table: pd.DataFrame) -> list[str]:
    headline = ["success", "low", "high", "n", "success_all", "low_all", "high_all", "n_all"]
    return [*headline, "clean_rate", *present(table, AVERAGED)]


def _ratio(part: pd.Series[float], whole: pd.Series[float]) -> pd.Series[float]:
    return (part / whole.where(whole > 0)).astype(np.float64)
