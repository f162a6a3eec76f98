"""How sure a rate, and a difference of rates, is (specification 5.5)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Reals = npt.NDArray[np.float64]
Pair = tuple[Reals, Reals]
"""Of two methods, on the same examples and targets: (n, targets) each."""

_Z = 1.959963984540054  # 97.5 % quantile of the standard normal distribution
EXACT_BELOW = 25
"""McNemar's test is exact when fewer pairs than this disagree."""
FEW = 8
"""Examples of a kind on average, from which on kinds are drawn, as `_means_of_kinds` says."""
DRAWN = 4_000_000
"""Draws that are held at a time."""


def wilson(successes: npt.ArrayLike, n: npt.ArrayLike) -> tuple[Reals, Reals]:
    """Return the ends of the 95 % Wilson score interval of a rate.

    Args:
        successes: number, or sum of shares of randomised targets, of successes; any shape.
        n: number of trials, broadcast against ``successes``.

    Returns:
        Lower and upper ends in [0, 1]; (0, 1) where n is 0.

    Raises:
        ValueError: when a number of successes is negative or above n.
    """
    successes, n = np.broadcast_arrays(
        np.asarray(successes, dtype=np.float64), np.asarray(n, dtype=np.float64)
    )
    slack = 1e-9 * np.maximum(n, 1.0)  # sums of shares carry rounding errors
    if not ((successes >= -slack) & (successes <= n + slack)).all():
        raise ValueError("successes must lie between 0 and n")
    trials = np.maximum(n, 1.0)
    rate = np.clip(successes / trials, 0.0, 1.0)
    shrink = 1.0 + _Z**2 / trials
    centre = (rate + _Z**2 / (2 * trials)) / shrink
    half = _Z / shrink * np.sqrt(rate * (1 - rate) / trials + (_Z / (2 * trials)) ** 2)
    # The ends touch 0 and 1, and hold the rate, in exact arithmetic; min and max keep it so.
    low = np.where(n > 0, np.minimum(np.maximum(centre - half, 0.0), rate), 0.0)
    high = np.where(n > 0, np.maximum(np.minimum(centre + half, 1.0), rate), 1.0)
    return np.where(rate == 0, 0.0, low), np.where((rate == 1) & (n > 0), 1.0, high)


@dataclass(frozen=True)
class McNemar:
    """McNemar's test of two methods on the same examples.

    Attributes:
        only_first: examples on which only the first succeeds.
        only_second: examples on which only the second succeeds.
        p_value: two-sided; 1 when they never disagree.
        exact: whether it is the binomial test, or chi-squared with continuity correction.
    """

    only_first: int
    only_second: int
    p_value: float
    exact: bool


def mcnemar(first: npt.ArrayLike, second: npt.ArrayLike) -> McNemar:
    """Test whether two methods succeed equally often on the same n examples.

    Args:
        first: success of one method, bool or 0/1, (n,).
        second: success of the other, (n,).

    Raises:
        ValueError: when the lengths differ, or a success is neither 0 nor 1 (a randomised target).
    """
    one, two = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if one.ndim != 1 or one.shape != two.shape:
        raise ValueError(f"two equally long lists are needed, got {one.shape} and {two.shape}")
    if not (np.isin(one, (0, 1)).all() and np.isin(two, (0, 1)).all()):
        raise ValueError("McNemar's test needs successes that are 0 or 1")
    only_first, only_second = int((one > two).sum()), int((two > one).sum())
    exact = only_first + only_second < EXACT_BELOW
    return McNemar(only_first, only_second, mcnemar_p(only_first, only_second), exact)


def mcnemar_p(only_first: int, only_second: int) -> float:
    """Return McNemar's two-sided p-value; exact when fewer pairs than `EXACT_BELOW` disagree.

    Args:
        only_first: examples on which only the first method succeeds.
        only_second: examples on which only the second does.
    """
    disagree = only_first + only_second
    if disagree < EXACT_BELOW:
        # Twice the smaller tail of a fair coin; 1 where the two tails overlap.
        tail = sum(math.comb(disagree, wins) for wins in range(min(only_first, only_second) + 1))
        return float(min(1.0, 2 * tail / 2**disagree))
    # Chi-squared with one degree of freedom is the square of a normal variable.
    statistic = max(abs(only_first - only_second) - 1, 0) ** 2 / disagree
    return math.erfc(math.sqrt(statistic / 2))


@dataclass(frozen=True)
class Difference:
    """A difference of two mean success rates with its 95 % interval (first minus second)."""

    value: float
    low: float
    high: float

    @property
    def shown(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low > 0 or self.high < 0


def paired_bootstrap(
    first: npt.ArrayLike, second: npt.ArrayLike, *, seed: int = 0, resamples: int = 5000
) -> Difference:
    """Bootstrap the difference of two methods' success, averaged over targets, over examples.

    Whole examples are drawn with replacement, with all their targets and both methods: verdicts on
    one example are not independent. Each target's rate is over its own counted examples.

    Args:
        first: success of one method, (n, targets), or (n,) for one target; NaN where the example
            does not count (the target was wrong before the attack).
        second: success of the other, the same shape, with NaN in the same places.
        seed: keys the resampling; nothing else does, and no global generator is touched.
        resamples: number of bootstrap samples; the interval's ends are percentiles.

    Raises:
        ValueError: when the shapes or the places of NaN differ, or when a target has no counted
            example.
    """
    return paired_bootstraps([(_table(first), _table(second))], seed=seed, resamples=resamples)[0]


def paired_bootstraps(
    pairs: Sequence[Pair], *, seed: int = 0, resamples: int = 5000
) -> list[Difference]:
    """Bootstrap as `paired_bootstrap` the differences of several pairs of methods.

    Pairs on equally many examples are given the same draws, which are drawn once. What a pair comes
    to does not depend on the others.

    Args:
        pairs: success of the two methods, (n, targets) each.
        seed: keys the resampling.
        resamples: number of bootstrap samples.

    Raises:
        ValueError: as `paired_bootstrap`.
    """
    gains = [_gain(one, two) for one, two in pairs]
    means = [_means_of_kinds(*gain, seed, resamples) for gain in gains]
    for n in {len(gain) for (gain, _), known in zip(gains, means, strict=True) if known is None}:
        alike = {
            place: list[Reals]()
            for place, (gain, _) in enumerate(gains)
            if len(gain) == n and means[place] is None
        }
        for copies in _drawn(n, seed, resamples):
            for place, parts in alike.items():
                parts.append(_resampled(copies, *gains[place]))
        for place, parts in alike.items():
            means[place] = np.concatenate(parts)
    found = []
    for (gain, counted), drawn in zip(gains, means, strict=True):
        assert drawn is not None
        low, high = np.percentile(drawn, [2.5, 97.5])
        value = float((gain.sum(0) / counted.sum(0)).mean())
        found.append(Difference(value, float(low), float(high)))
    return found


def _gain(one: Reals, two: Reals) -> Pair:
    """Return the difference in success, 0 where it does not count, and where it counts."""
    if one.shape != two.shape or (np.isnan(one) != np.isnan(two)).any():
        raise ValueError("the two methods must be judged on the same examples and targets")
    counted = (~np.isnan(one)).astype(np.float64)
    if not len(one) or (counted.sum(0) == 0).any():
        raise ValueError("a target has no example that counts")
    return np.nan_to_num(one) - np.nan_to_num(two), counted


def _means_of_kinds(gain: Reals, counted: Reals, seed: int, resamples: int) -> Reals | None:
    """Return the mean differences in all resamples where examples are of a few kinds, else None.

    With few targets many examples came out alike: it is enough to draw how many of each kind.
    """
    n = len(gain)
    kind = np.zeros(n, np.int64)
    for column in (*gain.T, *counted.T):
        values, value = np.unique(column, return_inverse=True)
        _, first, kind, size = np.unique(
            kind * len(values) + value, return_index=True, return_inverse=True, return_counts=True
        )
        if len(first) * FEW > n:
            return None
    copies = resampling(seed, "paired bootstrap").multinomial(n, size / n, size=resamples)
    return _resampled(copies.astype(np.float64), gain[first], counted[first])


def _drawn(n: int, seed: int, resamples: int) -> Iterator[Reals]:
    """Yield how often each of n examples is in each of some resamples, (some, n)."""
    generator = resampling(seed, "paired bootstrap")
    chunk = max(1, DRAWN // n)
    for start in range(0, resamples, chunk):
        size = min(chunk, resamples - start)
        # A fourth of the time that a multinomial distribution of so many values takes.
        drawn = generator.integers(0, n, (size, n)) + np.arange(0, size * n, n)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=size * n)
        yield counts.reshape(size, n).astype(np.float64)


def _resampled(copies: Reals, gain: Reals, counted: Reals) -> Reals:
    """Return the mean difference over targets in each resample."""
    totals = copies @ counted
    # A resample can miss all of a target's few examples; that target then sits it out.
    rates = np.divide(copies @ gain, totals, out=np.full_like(totals, np.nan), where=totals > 0)
    weight = (totals > 0).sum(1)
    means: Reals = np.nansum(rates, axis=1)[weight > 0] / weight[weight > 0]
    return means


@dataclass(frozen=True)
class Comparison:
    """Two methods on the same examples.

    Attributes:
        difference: of the mean success rates over targets, with its bootstrap interval.
        mcnemar: the paired test; None with several targets or with randomised ones.
        words: what may be said, in one line.
    """

    difference: Difference
    mcnemar: McNemar | None
    words: str

    @property
    def shown(self) -> bool:
        """Whether the interval, and the paired test where there is one, show a difference."""
        return self.difference.shown and (self.mcnemar is None or self.mcnemar.p_value < 0.05)


def compare(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    *,
    names: tuple[str, str] = ("first", "second"),
    seed: int = 0,
    resamples: int = 5000,
) -> Comparison:
    """Compare two methods on the same examples, and say no more than the data shows.

    A difference is called shown when the bootstrap interval excludes zero and, where McNemar's test
    applies (one deterministic target), its p-value is below 0.05.

    Args:
        first: success of one method, (n, targets) or (n,); see `paired_bootstrap`.
        second: success of the other.
        names: what to call them.
        seed: keys the bootstrap.
        resamples: number of bootstrap samples.
    """
    pair = _table(first), _table(second)
    return compare_all([pair], [names], seed=seed, resamples=resamples)[0]


def compare_all(
    pairs: Sequence[Pair],
    names: Sequence[tuple[str, str]],
    *,
    seed: int = 0,
    resamples: int = 5000,
) -> list[Comparison]:
    """Compare as `compare` several pairs of methods; see `paired_bootstraps`."""
    differences = paired_bootstraps(pairs, seed=seed, resamples=resamples)
    return [
        _worded(difference, _single_target_test(*pair), called)
        for difference, pair, called in zip(differences, pairs, names, strict=True)
    ]


def _worded(difference: Difference, test: McNemar | None, names: tuple[str, str]) -> Comparison:
    figures = (
        f"{100 * difference.value:+.1f} points "
        f"[{100 * difference.low:+.1f}, {100 * difference.high:+.1f}]"
    )
    if test is not None:
        figures += f", McNemar p = {test.p_value:.2g}"
    found = Comparison(difference, test, "")
    verb = "differs from" if found.shown else "against"
    words = f"{names[0]} {verb} {names[1]}: {figures}"
    return replace(found, words=words if found.shown else f"no difference shown: {words}")


def _single_target_test(first: Reals, second: Reals) -> McNemar | None:
    if first.shape[1] != 1:
        return None
    counted = ~np.isnan(first[:, 0])
    one, two = first[counted, 0], second[counted, 0]
    if not (np.isin(one, (0, 1)).all() and np.isin(two, (0, 1)).all()):
        return None
    return mcnemar(one, two)


def _table(values: npt.ArrayLike) -> Reals:
    table = np.asarray(values, dtype=np.float64)
    table = table[:, None] if table.ndim == 1 else table
    if table.ndim != 2 or not table.shape[1]:
        raise ValueError(f"successes must have shape (n, targets), got {np.shape(values)}")
    return table


def resampling(seed: int, purpose: str) -> np.random.Generator:
    """Return the generator of a bootstrap: keyed by seed and purpose, shared with nothing."""
    digest = hashlib.blake2b(f"{seed}\x1f{purpose}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "little")))
