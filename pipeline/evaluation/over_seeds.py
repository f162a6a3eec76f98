"""Attacks under several seeds: means, deviation, and intervals over examples and seeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from gauntlet.pipeline.evaluation.statistics import Reals, resampling

SPREAD = ("seeds", "success_sd", "low", "high")
"""What `spreads` says of a success rate."""
_AVERAGED = ("success", "success_std", "score", "score_std", "linf", "l2", "interaction")


def several(frame: pd.DataFrame) -> list[str]:
    """Return the labels of attacks that have rows under several seeds."""
    if "seed" not in frame or frame["seed"].nunique() < 2:
        return []
    seeds = frame.groupby("attack", sort=False, observed=True)["seed"].nunique()
    return [str(label) for label in seeds.index[seeds > 1]]


def averaged(frame: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Return rows of which one example has one: means over seeds, where an attack has several.

    An example's success is then a share, as that of a randomised target is, and all statistics over
    examples hold as they are. What was asked of clean images is the same under every seed.

    Args:
        frame: rows of a run.
        keys: columns that tell rows apart beside the seed.
    """
    if not (labels := several(frame)):
        return frame
    under = frame["attack"].isin(labels)
    names = [name for name in keys if name in frame]
    groups = frame[under].groupby(names, sort=False, observed=True)
    means = [name for name in _AVERAGED if name in frame]
    first = groups.head(1).set_index(names)
    first[means] = groups[means].mean()
    return pd.concat([frame[~under], first.reset_index()[frame.columns]], ignore_index=True)


def spreads(verdicts: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Return how far the success rates of attacks under several seeds vary.

    Args:
        verdicts: at the attacks' last step: ``example, attack, seed, target, success,
            clean_correct`` and the columns in ``by``.
        by: what names a row beside the attack: ``target``, or ``group`` and ``white_box``.

    Returns:
        One row for each such attack and judge: ``seeds``, their number; ``success_sd``, the sample
        deviation of the rate over them (mean over targets of the rates on what each got right
        before); ``low`` and ``high``, the ends of the 95 % interval over examples and seeds. The
        ends are NaN where every resample has one rate.
    """
    labels = several(verdicts)
    frame = verdicts[verdicts["attack"].isin(labels)]
    right = frame["clean_correct"].astype("boolean").fillna(False)
    frame = frame.assign(success=frame["success"].where(right))
    found = []
    for key, part in frame.groupby(["attack", *by], sort=False, observed=True):
        table = _table(part)
        rates = _mean(np.nansum(table, 0), (~np.isnan(table)).sum(0))
        low, high = two_way_bootstrap(table)
        found.append((*key, table.shape[2], float(np.std(rates, ddof=1)), low, high))
    return pd.DataFrame(found, columns=["attack", *by, *SPREAD])


def two_way_bootstrap(
    success: Reals, *, seed: int = 0, resamples: int = 2000
) -> tuple[float, float]:
    """Return the ends of the 95 % interval of a mean success rate, over examples and seeds.

    Examples, with all targets, and seeds are drawn with replacement, each by itself (the pigeonhole
    bootstrap: Owen 2007).

    Args:
        success: (n, targets, seeds); NaN where an example does not count.
        seed: keys the resampling.
        resamples: number of bootstrap samples.

    Returns:
        Percentiles; NaN where all resamples have one rate, which says nothing of others.
    """
    n, targets, seeds = success.shape
    counted = ~np.isnan(success)
    hits, counts = np.nan_to_num(success).reshape(n, -1), counted.astype(np.float64).reshape(n, -1)
    generator = resampling(seed, "two-way bootstrap")
    means: list[Reals] = []
    chunk = max(1, 4_000_000 // n)
    for start in range(0, resamples, chunk):
        size = min(chunk, resamples - start)
        copies = generator.multinomial(n, np.full(n, 1 / n), size=size).astype(np.float64)
        picks = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=size)[:, None]
        shape = size, targets, seeds
        won = ((copies @ hits).reshape(shape) * picks).sum(2)
        means.append(_mean(won.T, ((copies @ counts).reshape(shape) * picks).sum(2).T))
    drawn = np.concatenate(means)
    drawn = drawn[~np.isnan(drawn)]
    if not len(drawn) or drawn.min() == drawn.max():
        return np.nan, np.nan
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)


def _mean(won: Reals, counts: Reals) -> Reals:
    """Return the mean rate over targets, (targets, R) each; without those that have no example."""
    rates = np.divide(won, counts, out=np.full(won.shape, np.nan), where=counts > 0)
    there = (counts > 0).sum(0)
    none = np.full(len(there), np.nan)
    return np.asarray(np.divide(np.nansum(rates, 0), there, out=none, where=there > 0))


def _table(part: pd.DataFrame) -> Reals:
    """Return success, (examples, targets, seeds); NaN where there is no row that counts."""
    axes = [part[name].factorize(sort=True) for name in ("example", "target", "seed")]
    table = np.full([len(values) for _, values in axes], np.nan)
    table[tuple(codes for codes, _ in axes)] = part["success"].to_numpy(np.float64)
    return table
