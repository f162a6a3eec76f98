"""How often a model is right about clean examples, and when that is no accident but a fault."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gauntlet.pipeline.evaluation.statistics import mcnemar, wilson
from gauntlet.pipeline.evaluation.verification import best_threshold

Reals = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

LEAST_VERIFICATION = 0.6
"""A verification model that is right about fewer pairs than this share tells no faces apart."""
PLAUSIBLE = 0.75
"""A classifier whose interval ends below may be right, and may as well be misread."""


@dataclass(frozen=True)
class CleanAccuracy:
    """A model's answers to examples that nobody has attacked.

    Attributes:
        right: how many it is right about.
        of: how many it was asked about.
        classes: number of a classifier's outputs; None for verification.
    """

    right: int
    of: int
    classes: int | None

    def __str__(self) -> str:
        return f"{self.right:,} of {self.of:,} right ({100 * self.rate:.1f} %)"

    @property
    def rate(self) -> float:
        """The share that is right; 0 of nothing."""
        return self.right / max(self.of, 1)

    @property
    def upper(self) -> float:
        """Upper end of the 95 % Wilson interval of the rate."""
        return float(wilson(self.right, self.of)[1])

    @property
    def near_zero(self) -> bool:
        """Whether a classifier is right about one example at most, and not for want of examples."""
        return self.classes is not None and self.right <= 1 and self.upper < 0.5

    @property
    def near_chance(self) -> bool:
        """Whether the interval ends below twice the rate of guessing; never for two classes."""
        return self.classes is not None and self.classes > 2 and self.upper < 2 / self.classes

    @property
    def suspicion(self) -> str | None:
        """What is wrong with the rate, in words, or None."""
        if self.near_zero:
            return "near zero"
        if self.near_chance:
            assert self.classes is not None
            return f"near chance, which is {100 / self.classes:.2g} %"
        if self.classes is None and self.rate < LEAST_VERIFICATION:
            return "near chance, which is 50 %"
        return None

    @property
    def poor(self) -> bool:
        """Whether another reading of the input may be the right one."""
        return self.suspicion is not None or (self.classes is not None and self.upper < PLAUSIBLE)


def better(other: Flags, given: Flags) -> tuple[int, float]:
    """Return how many more examples one reading gets right than another, and McNemar's p.

    Args:
        other: whether the one is right about each of n examples, (n,).
        given: whether the other one is, (n,).
    """
    test = mcnemar(other, given)
    return test.only_first - test.only_second, test.p_value


def right_pairs(scores: Reals, same: Flags, threshold: float | None, folds: int = 4) -> Flags:
    """Return which of P pairs a verification model is right about, bool (P,).

    Args:
        scores: cosine of each pair, (P,).
        same: whether the pair shows one person, (P,).
        threshold: same person if cosine >= threshold; None: each pair is judged by the threshold
            that is best on the others, in so many folds.
        folds: of the pairs, each kind in turn.
    """
    if threshold is not None:
        return np.asarray((scores >= threshold) == same)
    # Both kinds in every fold: what one fold lacks, the threshold from the others would prefer.
    fold = np.empty(len(scores), dtype=np.int64)
    for kind in (same, ~same):
        fold[kind] = np.arange(kind.sum()) % folds
    right = np.zeros(len(scores), dtype=np.bool_)
    for name in range(folds):
        held_out = fold == name
        if held_out.any() and not held_out.all():
            found = best_threshold(scores[~held_out], same[~held_out])
            right[held_out] = (scores[held_out] >= found) == same[held_out]
    return right
