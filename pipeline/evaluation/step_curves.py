"""Success against the step (interaction paper, Fig. 5)."""

from __future__ import annotations

import pandas as pd

from gauntlet.pipeline.evaluation.success_rates import (
    ATTACK,
    GROUP,
    TARGET,
    counted,
    grouped,
    rates,
)


def by_step(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Return one row an attack x target x evaluated step, sorted by step within each.

    Args:
        verdicts: as for `success_rates.by_target`, with the column ``step``.

    Returns:
        The columns that name attack and target, ``step``, and the figures of `by_target`.

    Raises:
        ValueError: as `by_target`.
    """
    if "step" not in verdicts:
        raise ValueError("the verdicts table has no column step")
    return in_steps(rates(counted(verdicts), (*ATTACK, *TARGET, "step")))


def by_step_and_group(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Return one row an attack x group of targets x evaluated step, sorted by step within each.

    Args:
        verdicts: as for `by_step`.

    Returns:
        The columns that name attack and group, ``step``, and the figures of
        `gauntlet.pipeline.evaluation.success_rates.by_group`.

    Raises:
        ValueError: as `by_step`.
    """
    return groups_in_steps(by_step(verdicts))


def in_steps(table: pd.DataFrame) -> pd.DataFrame:
    """Sort figures of targets at steps by step within each attack and target."""
    return _in_steps(table, ["attack", "target"])


def groups_in_steps(table: pd.DataFrame) -> pd.DataFrame:
    """Return the figures of `by_step_and_group`.

    Args:
        table: from `by_step`.
    """
    table = grouped(table, (*ATTACK, *GROUP, "step"))
    return _in_steps(table, ["attack", "group", "white_box"])


def _in_steps(table: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Sort by step within each combination of names, in the order of their first rows."""
    place = table.groupby(names, sort=False, dropna=False, observed=True).ngroup()
    order = pd.DataFrame({"place": place, "step": table["step"]}).sort_values(["place", "step"])
    return table.loc[order.index].reset_index(drop=True)
