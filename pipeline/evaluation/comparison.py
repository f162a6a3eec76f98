"""Paired comparison of attacks with one of them, from the verdicts of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd

from gauntlet.pipeline.evaluation.over_seeds import averaged
from gauntlet.pipeline.evaluation.statistics import Comparison, Pair, compare_all
from gauntlet.pipeline.evaluation.success_rates import last_step
from gauntlet.pipeline.problems import suggest

COMPARED = (
    *("example", "attack", "seed", "target", "group", "white_box", "success", "clean_correct"),
)
"""Columns of the verdicts that a comparison is made from."""
WHITE_BOX = " (white box)"
"""Follows the name of a group whose targets are white boxes of both attacks."""
HELD = 2**26
"""Bytes of success that wait to be compared, at most: draws are shared among them."""


def unfit_reference(labels: Sequence[str], reference: str) -> str | None:
    """Return why attacks cannot be compared with one of them, None if they can.

    Args:
        labels: of the attacks that were judged.
        reference: label of the attack to compare with.
    """
    if not labels:
        return "no attack was judged yet"
    if reference not in labels:
        return suggest(reference, labels, "attack")
    if len(labels) == 1:
        return f"only {reference!r} was judged; no other attack to compare with"
    return None


def against(verdicts: pd.DataFrame, reference: str) -> list[tuple[str, str, Comparison]]:
    """Compare every attack with a reference, group by group, on the same examples and targets.

    Success counts where the target was right before both attacks. A target that is a white box of
    one of the two attacks only is left out; white boxes of both are compared by themselves.

    Args:
        verdicts: a run's verdicts.
        reference: label of the attack to compare with.

    Returns:
        (group, attack, comparison) in the order of groups and attacks; the white boxes of a group
        follow the others as ``GROUP (white box)``.

    Raises:
        ValueError: when the reference was not judged, or no other attack was.
    """
    frame = last_step(verdicts)
    labels = [str(label) for label in frame["attack"].unique()]
    return compared(lambda label: frame[frame["attack"].eq(label)], labels, reference)


def compared(
    verdicts: Callable[[str], pd.DataFrame], labels: Sequence[str], reference: str
) -> list[tuple[str, str, Comparison]]:
    """Compare as `against`, with the verdicts of two attacks at a time.

    Args:
        verdicts: gives an attack's verdicts at its last step, `COMPARED` of their columns.
        labels: of the attacks that were judged.
        reference: label of the attack to compare with.

    Raises:
        ValueError: as `against`.
    """
    if unfit := unfit_reference(labels, reference):
        raise ValueError(unfit)
    bases = _by_group(verdicts(reference))
    groups: dict[str, None] = {}
    found: dict[tuple[str, bool, str], Comparison] = {}
    waiting: dict[tuple[str, bool, str], Pair] = {}
    for label in labels:
        tables = bases if label == reference else _by_group(verdicts(label))
        groups |= dict.fromkeys(group for group, _ in tables)
        for (group, box), other in tables.items():
            base = bases.get((group, box))
            if label == reference or base is None:
                continue
            if (pair := _paired(other, base)) is not None:
                waiting[group, box, label] = pair
        if sum(one.nbytes + two.nbytes for one, two in waiting.values()) > HELD:
            found |= _compared(waiting, reference)
            waiting = {}
    found |= _compared(waiting, reference)
    return [
        (f"{group}{WHITE_BOX}" if box and group != "white-box" else group, label, result)
        for group, box, label in product(groups, (False, True), labels)
        if (result := found.get((group, box, label))) is not None
    ]


def _by_group(verdicts: pd.DataFrame) -> dict[tuple[str, bool], pd.DataFrame]:
    """Return an attack's success, examples x targets, by group and whether it is a white box."""
    verdicts = averaged(verdicts, ("attack", "target", "example"))
    right = verdicts["clean_correct"].astype("boolean").fillna(False)
    frame = verdicts.assign(success=verdicts["success"].where(right))
    white = frame["white_box"] if "white_box" in frame else pd.Series(False, frame.index)
    parts = frame.groupby([frame["group"], white.astype(bool)], sort=False)
    return {(str(group), bool(box)): success_table(part) for (group, box), part in parts}


def success_table(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Return an attack's success, examples x targets, both in the order of their names.

    Raises:
        ValueError: when an example occurs twice for a target.
    """
    row, examples = verdicts["example"].factorize(sort=True)
    column, targets = verdicts["target"].factorize(sort=True)
    if len(np.unique(row * len(targets) + column)) < len(verdicts):
        raise ValueError("an example occurs twice for an attack and a target")
    table = np.full((len(examples), len(targets)), np.nan)
    table[row, column] = verdicts["success"].to_numpy(np.float64, na_value=np.nan)
    return pd.DataFrame(table, examples, targets)


def _paired(one: pd.DataFrame, two: pd.DataFrame) -> Pair | None:
    """Return what two attacks have in common, None if that is nothing."""
    if not (one.index.equals(two.index) and one.columns.equals(two.columns)):
        examples = two.index.intersection(one.index)
        targets = [target for target in two.columns if target in one.columns]
        one, two = (table.loc[examples, targets] for table in (one, two))
    first, second = one.to_numpy(), two.to_numpy()
    # A target that draws at random may be right before one attack and not before the other.
    unpaired = np.isnan(first) | np.isnan(second)
    counted = ~unpaired.all(0)
    if not counted.any():
        return None
    first, second = (np.where(unpaired, np.nan, table) for table in (first, second))
    return first[:, counted], second[:, counted]


def _compared(
    pairs: Mapping[tuple[str, bool, str], Pair], reference: str
) -> dict[tuple[str, bool, str], Comparison]:
    names = [(label, reference) for _, _, label in pairs]
    return dict(zip(pairs, compare_all([*pairs.values()], names), strict=True))
