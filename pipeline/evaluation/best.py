"""Which methods cannot be told from the best one, on the same examples (specification 5.5)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from gauntlet.pipeline.evaluation.statistics import EXACT_BELOW, Reals, mcnemar_p

LEVEL = 0.05
"""Chance that any method of a column is told from the best though none differs."""
_SLACK = 1e-9  # sums of shares carry rounding errors


def told_apart(p_values: Sequence[float], level: float = LEVEL) -> list[bool]:
    """Return which of several hypotheses are rejected, by Holm's step-down rule (Holm 1979).

    Args:
        p_values: one a hypothesis.
        level: chance that any true one is rejected, at most.
    """
    rejected = [False] * len(p_values)
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    for before, place in enumerate(order):
        if p_values[place] > level / (len(p_values) - before):
            break
        rejected[place] = True
    return rejected


def paired_p(one: Reals, two: Reals) -> float | None:
    """Return the two-sided p-value that two methods do equally well on the same examples.

    On one target that answers yes or no it is McNemar's. The difference of means over several
    targets, or of figures that are not yes or no, is tested by `sign_flip_p` of what each example
    adds to it: all targets' verdicts on one example keep together.

    Args:
        one: a figure of each example on each target, (n, targets); NaN where it does not count.
        two: the same figure of the other method, the same shape.

    Returns:
        None where no example counts for both.
    """
    counted = ~(np.isnan(one) | np.isnan(two))
    of = counted.sum(0)
    there = of > 0
    if not there.any():
        return None
    gain = np.where(counted, one - two, 0.0)[:, there]
    if gain.shape[1] == 1 and np.isin(gain, (-1.0, 0.0, 1.0)).all():
        return mcnemar_p(int((gain > 0).sum()), int((gain < 0).sum()))
    return sign_flip_p((gain / of[there]).sum(1))


def sign_flip_p(differences: Reals) -> float:
    """Return how often the sum of paired differences is as far from 0 when their signs are drawn.

    The test of Fisher (1935) for pairs: if two methods do equally well, each example's difference
    might as well have the other sign. For differences of -1, 0 and 1 it is McNemar's test.

    Args:
        differences: one an example, (n,).

    Returns:
        Over all signs, when fewer than `EXACT_BELOW` are not 0; else by the normal limit.
    """
    moved = differences[differences != 0]
    reach = np.abs(moved).sum()
    total = abs(moved.sum()) - _SLACK * reach
    if total <= 0:
        return 1.0
    if len(moved) >= EXACT_BELOW:
        return math.erfc(total / math.sqrt(2 * np.square(moved).sum()))
    half = len(moved) // 2
    left, right = _signed_sums(moved[:half]), np.sort(_signed_sums(moved[half:]))
    above = len(right) - np.searchsorted(right, total - left, "left")
    below = np.searchsorted(right, -total - left, "right")
    return float((above + below).sum() / 2 ** len(moved))


def _signed_sums(values: Reals) -> Reals:
    """Return the sums of values under all their signs, (2^n,)."""
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    return sums
