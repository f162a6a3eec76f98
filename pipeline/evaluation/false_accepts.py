"""A verification threshold at a false-accept rate, from pairs of different people."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Reals = npt.NDArray[np.float64]

_MISSED = 0.025
"""Probability that the true threshold lies beyond either end of the interval."""


@dataclass(frozen=True)
class FalseAcceptThreshold:
    """A threshold at which hardly any pair of different people passes for one person.

    Attributes:
        rate: share of such pairs that may pass.
        threshold: the lowest at which no more of the pairs at hand do; same person if
            cosine >= threshold.
        low: lower end of a 95 % interval of the threshold, free of any distribution.
        high: upper end.
        accepted: pairs of different people that pass.
        impostors: pairs of different people.
    """

    rate: float
    threshold: float
    low: float
    high: float
    accepted: int
    impostors: int

    def __str__(self) -> str:
        return (
            f"{self.threshold:.4f} ({self.low:.4f} to {self.high:.4f}) at a false-accept rate of "
            f"{self.rate:g}: {self.accepted:,} of {self.impostors:,} pairs"
        )


def pairs_needed(rate: float) -> int:
    """Return how many pairs of different people a threshold at a false-accept rate needs.

    With fewer, the interval has no upper end: it is likely that none of the pairs is among the
    share ``rate`` of all that are most alike.
    """
    return math.ceil(math.log(_MISSED) / math.log1p(-rate))


def too_few(rate: float, impostors: int) -> str:
    """Return why so many pairs of different people cannot fix a rate; empty where they can."""
    needed = pairs_needed(rate)
    if impostors >= needed:
        return ""
    return (
        f"a false-accept rate of {rate:g} needs {needed:,} pairs of different people or more, "
        f"here are {impostors:,}"
    )


def at_false_accept_rate(scores: Reals, rate: float) -> FalseAcceptThreshold:
    """Return the threshold at a false-accept rate.

    Args:
        scores: cosines of pairs of different people, (P,).
        rate: share of such pairs that may pass, above 0 and below 1.

    Raises:
        ValueError: when the rate is no such share, a score is not finite, or the pairs are too few
            for the rate.
    """
    if not 0 < rate < 1:
        raise ValueError(f"a false-accept rate lies between 0 and 1, got {rate:g}")
    scores = np.sort(np.asarray(scores, dtype=np.float64))[::-1]
    if not np.isfinite(scores).all():
        raise ValueError(f"{(~np.isfinite(scores)).sum()} of {len(scores)} scores are not finite")
    if why := too_few(rate, len(scores)):
        raise ValueError(why)
    fewest, most = _ranks(len(scores), rate)
    threshold = _above(scores, math.floor(rate * len(scores) + 1e-9))
    return FalseAcceptThreshold(
        rate=rate,
        threshold=threshold,
        low=float(scores[min(most, len(scores) - 1)]),
        high=float(scores[fewest]),
        accepted=int((scores >= threshold).sum()),
        impostors=len(scores),
    )


def _above(scores: Reals, admitted: int) -> float:
    """Return the lowest number that at most so many scores, sorted downwards, reach."""
    return float(np.nextafter(scores[admitted], np.inf))


def _ranks(count: int, rate: float) -> tuple[int, int]:
    """Return places in the scores, sorted downwards, that hold the true threshold between them.

    How many of the scores lie above it is binomial.
    """
    spread = math.sqrt(count * rate * (1 - rate))
    # What is further off than so many standard deviations has no weight.
    first = max(0, int(count * rate - 12 * spread) - 1)
    last = min(count, int(count * rate + 12 * spread) + 1)
    places = np.arange(first, last + 1)
    logs = np.asarray([math.lgamma(k + 1) + math.lgamma(count - k + 1) for k in places.tolist()])
    weights = np.exp(
        math.lgamma(count + 1)
        - logs
        + places * math.log(rate)
        + (count - places) * math.log1p(-rate)
    )
    total = weights.cumsum()
    low = int(places[(total > _MISSED).argmax()])
    return max(low - 1, 0), int(places[(total >= 1 - _MISSED).argmax()])
