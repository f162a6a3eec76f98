"""One attack in several runs, on the examples and targets that all of them share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gauntlet.pipeline.evaluation.comparison import success_table
from gauntlet.pipeline.evaluation.over_seeds import averaged
from gauntlet.pipeline.evaluation.statistics import Reals

Judge = tuple[str, bool]
"""A group (or a target), and whether it is a white box."""


@dataclass(frozen=True)
class Shared:
    """What runs share of an attack on one group of targets.

    Attributes:
        targets: that judged it in all runs.
        success: of each run, (n, targets); NaN in the same places, where a target was wrong before
            the attack in any of them.
    """

    targets: tuple[str, ...]
    success: tuple[Reals, ...]

    @property
    def n(self) -> int:
        """The fewest examples that count on any target."""
        return int((~np.isnan(self.success[0])).sum(0).min())

    @property
    def rates(self) -> list[float]:
        """The mean success over targets of each run."""
        return [float(np.nanmean(table, 0).mean()) for table in self.success]


@dataclass(frozen=True)
class Apart:
    """What runs do not share of an attack.

    Attributes:
        examples: of each run, those that another has not.
        targets: of each run, those that another has not.
        boxes: targets that are a white box in some runs and not in others; nobody compares them.
    """

    examples: tuple[frozenset[str], ...]
    targets: tuple[frozenset[str], ...]
    boxes: frozenset[str]


def shared(
    verdicts: Sequence[pd.DataFrame], by_target: bool = False
) -> tuple[dict[Judge, Shared], Apart]:
    """Return what runs share of an attack, by group of targets, and what they do not.

    Args:
        verdicts: of each run, the attack's at its last step; `comparison.COMPARED` are needed.
        by_target: each target is a group of its own.

    Returns:
        Groups as the first run has them, without those in which nothing counts in all runs.

    Raises:
        ValueError: when an example occurs twice for a target.
    """
    frames = [averaged(frame, ("attack", "target", "example")) for frame in verdicts]
    tables = [_success(frame) for frame in frames]
    judges = [_judges(frame) for frame in frames]
    examples = [frozenset(table.index) for table in tables]
    targets = [frozenset(table.columns) for table in tables]
    everyone = frozenset.intersection(*targets)
    boxes = frozenset(t for t in everyone if len({found[t][1] for found in judges}) > 1)
    kept = tables[0].index[tables[0].index.isin(frozenset.intersection(*examples))]
    groups: dict[Judge, list[str]] = {}
    for target, (group, box) in judges[0].items():
        if target in everyone - boxes:
            groups.setdefault((target if by_target else group, box), []).append(target)
    found = {judge: _of(tables, kept, names) for judge, names in groups.items()}
    apart = Apart(
        tuple(mine - frozenset(kept) for mine in examples),
        tuple(mine - everyone for mine in targets),
        boxes,
    )
    return {judge: one for judge, one in found.items() if one is not None}, apart


def _of(tables: Sequence[pd.DataFrame], kept: pd.Index[str], targets: list[str]) -> Shared | None:
    arrays = [table.loc[kept, targets].to_numpy(np.float64) for table in tables]
    missing = np.any([np.isnan(array) for array in arrays], axis=0)
    counted = ~missing.all(0)
    if not counted.any():
        return None
    success = tuple(np.where(missing, np.nan, array)[:, counted] for array in arrays)
    names = tuple(name for name, counts in zip(targets, counted, strict=True) if counts)
    return Shared(names, success)


def _success(verdicts: pd.DataFrame) -> pd.DataFrame:
    right = verdicts["clean_correct"].astype("boolean").fillna(False)
    return success_table(verdicts.assign(success=verdicts["success"].where(right)))


def _judges(verdicts: pd.DataFrame) -> dict[str, Judge]:
    rows = verdicts[["target", "group", "white_box"]].drop_duplicates("target")
    return {
        str(target): (str(group), bool(box))
        for target, group, box in rows.itertuples(index=False, name=None)
    }
