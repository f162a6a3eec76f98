"""How often a verification model is wrong about pairs: at a threshold, where both errors meet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gauntlet.pipeline.evaluation.verification import Flags, Reals

_OUTSIDE = 0.025
"""Probability that a rate lies beyond either end of its interval, at most."""


@dataclass(frozen=True)
class ErrorRates:
    """What passes at a threshold; same person if cosine >= threshold.

    Attributes:
        impostors: pairs of different people.
        false_accepts: those of them that pass.
        genuine: pairs of one person.
        true_accepts: those of them that pass.
    """

    impostors: int
    false_accepts: int
    genuine: int
    true_accepts: int

    @property
    def true_accept_rate(self) -> float:
        """Share of the pairs of one person that pass."""
        return self.true_accepts / self.genuine


def at_threshold(scores: Reals, same: Flags, threshold: float) -> ErrorRates:
    """Return what passes of P pairs of both kinds.

    Args:
        scores: cosine of each pair, (P,).
        same: whether the pair shows one person, bool (P,).
        threshold: the least cosine that passes.
    """
    passes = scores >= threshold
    return ErrorRates(
        impostors=int((~same).sum()),
        false_accepts=int((passes & ~same).sum()),
        genuine=int(same.sum()),
        true_accepts=int((passes & same).sum()),
    )


def equal_error_rate(scores: Reals, same: Flags) -> float:
    """Return the rate at which as many impostors pass as genuine pairs do not.

    The shares of both errors are taken at every threshold that tells scores apart; equal scores
    pass together. Between the two thresholds where their order changes they are interpolated
    linearly: what drawing lots between the two gives.

    Args:
        scores: cosine of each pair, (P,).
        same: whether the pair shows one person, bool (P,), some of either kind.
    """
    distinct, place = np.unique(scores, return_inverse=True)
    # The i lowest distinct scores are rejected, of 0 to all. Counts are whole numbers: exact.
    genuine = np.bincount(place[same], minlength=len(distinct))
    impostors = np.bincount(place[~same], minlength=len(distinct))
    rejected = np.concatenate(([0], genuine.cumsum()))
    accepted = impostors.sum() - np.concatenate(([0], impostors.cumsum()))
    excess = accepted * genuine.sum() - rejected * impostors.sum()
    after = int((excess <= 0).argmax())  # from above 0, where all pass, to below, where none does
    above, below = int(excess[after - 1]), int(excess[after])
    share = above / (above - below)
    first, second = int(accepted[after - 1]), int(accepted[after])
    return float((first + share * (second - first)) / impostors.sum())


def interval(count: int, of: int) -> tuple[float, float]:
    """Return the ends of the 95 % Clopper-Pearson interval of a rate.

    It holds the rate with 95 % or more, however few the counts are; at a threshold that was chosen
    on the same pairs for a false-accept rate, too, whose upper end is then exact.
    """
    from scipy.special import betaincinv  # 0.2 s, which classifiers do without

    low = 0.0 if count == 0 else float(betaincinv(count, of - count + 1, _OUTSIDE))
    high = 1.0 if count == of else float(betaincinv(count + 1, of - count, 1 - _OUTSIDE))
    return low, high
