"""Paired comparison of attacks with one of them, from the verdicts of a run."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd

from gauntlet.pipeline.evaluation.statistics import Comparison, compare
from gauntlet.pipeline.evaluation.success_rates import last_step
from gauntlet.pipeline.problems import suggest


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
    labels = list(dict.fromkeys(frame["attack"]))
    if unfit := unfit_reference(labels, reference):
        raise ValueError(unfit)
    right = frame["clean_correct"].astype("boolean").fillna(False)
    frame = frame.assign(success=frame["success"].where(right))
    white = frame["white_box"] if "white_box" in frame else pd.Series(False, frame.index)
    white = white.astype(bool)
    found = []
    for group, box in product(dict.fromkeys(frame["group"]), (False, True)):
        chosen = frame[frame["group"].eq(group) & white.eq(box)]
        name = f"{group} (white box)" if box and group != "white-box" else str(group)
        tables = {
            label: part.pivot(index="example", columns="target", values="success")
            for label, part in chosen.groupby("attack", sort=False)
        }
        base = tables.get(reference)
        for label in labels:
            other = tables.get(label)
            if label == reference or base is None or other is None:
                continue
            examples = base.index.intersection(other.index)
            targets = [target for target in base.columns if target in other.columns]
            one, two = (table.loc[examples, targets].to_numpy() for table in (other, base))
            # A target that draws at random may be right before one attack and not before the other.
            unpaired = np.isnan(one) | np.isnan(two)
            one, two = (np.where(unpaired, np.nan, table) for table in (one, two))
            counted = ~unpaired.all(0)
            if counted.any():
                names = (label, reference)
                result = compare(one[:, counted], two[:, counted], names=names)
                found.append((name, str(label), result))
    return found
