"""Transfer utility against interaction (interaction paper, Fig. 2; specification 3.4)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from gauntlet.pipeline.evaluation.statistics import resampling
from gauntlet.pipeline.evaluation.success_rates import last_step

Reals = npt.NDArray[np.float64]

LEAST_SETTINGS = 3
"""Points that a correlation needs: two always lie on a line."""


@dataclass(frozen=True)
class Relation:
    """One panel: a point for each of S attacks, on one surrogate and one target.

    Attributes:
        surrogate: where the interaction was measured.
        target: where the transfer utility was.
        attacks: labels of the S attacks.
        examples: number n of images that all of them have; each point is a mean over them.
        interaction: mean interaction of each attack, (S,).
        utility: mean transfer utility of each attack, (S,).
        r: Pearson's correlation of the S points; NaN where all of one axis are equal.
        r_low: 2.5 % quantile of r over images drawn anew.
        r_high: 97.5 % quantile.
        band_at: interactions at which the band is given, (P,).
        line: least-squares line there, (P,).
        band_low: 2.5 % quantile there of the line over images drawn anew, (P,).
        band_high: 97.5 % quantile.
    """

    surrogate: str
    target: str
    attacks: tuple[str, ...]
    examples: int
    interaction: Reals
    utility: Reals
    r: float
    r_low: float
    r_high: float
    band_at: Reals
    line: Reals
    band_low: Reals
    band_high: Reals


def relations(
    interactions: pd.DataFrame, verdicts: pd.DataFrame, *, seed: int = 0, resamples: int = 2000
) -> Iterator[Relation]:
    """Yield how transfer utility goes with interaction, for each surrogate and target.

    The points of a panel share their images, so that the usual p-value of r is too small; the
    bootstrap draws whole images, with all their attacks. White-box targets are left out.

    Args:
        interactions: a run's `interactions` table.
        verdicts: its verdicts; untargeted classification, or nothing is yielded.
        seed: keys the bootstrap.
        resamples: number of bootstrap samples.

    Yields:
        A relation for each pair with `LEAST_SETTINGS` attacks or more on common images.
    """
    fair = last_step(verdicts)
    fair = fair[(fair["goal"] == "untargeted") & ~fair["white_box"].astype(bool)]
    gain = fair.assign(utility=fair["score"] - fair["clean_score"])
    for surrogate, measured in interactions.groupby("surrogate", sort=False, observed=True):
        inside = measured.pivot(index="example", columns="attack", values="interaction")
        for target, part in gain.groupby("target", sort=False, observed=True):
            outside = part.pivot(index="example", columns="attack", values="utility")
            attacks = [name for name in inside.columns if name in outside.columns]
            both = inside[attacks].join(outside[attacks], how="inner", rsuffix=" utility").dropna()
            if len(attacks) < LEAST_SETTINGS or both.empty:
                continue
            values = both.to_numpy(np.float64)
            x, y = values[:, : len(attacks)], values[:, len(attacks) :]
            yield _relation(str(surrogate), str(target), attacks, x, y, seed, resamples)


def _relation(
    surrogate: str,
    target: str,
    attacks: list[str],
    interaction: Reals,
    utility: Reals,
    seed: int,
    resamples: int,
) -> Relation:
    """Return the relation of (n, S) interactions and utilities."""
    n = len(interaction)
    x, y = interaction.mean(0), utility.mean(0)
    at = np.linspace(x.min(), x.max(), 50)
    generator = resampling(seed, f"interaction\x1f{surrogate}\x1f{target}")
    copies = generator.multinomial(n, np.full(n, 1 / n), size=resamples) / n
    drawn_x, drawn_y = copies @ interaction, copies @ utility
    drawn_lines = _line(drawn_x, drawn_y, at)
    r_low, r_high = _quantiles(pearson(drawn_x, drawn_y))
    band_low, band_high = _quantiles(drawn_lines)
    return Relation(
        surrogate=surrogate,
        target=target,
        attacks=tuple(attacks),
        examples=n,
        interaction=x,
        utility=y,
        r=float(pearson(x[None], y[None])[0]),
        r_low=float(r_low),
        r_high=float(r_high),
        band_at=at,
        line=_line(x[None], y[None], at)[0],
        band_low=band_low,
        band_high=band_high,
    )


def pearson(x: Reals, y: Reals) -> Reals:
    """Return Pearson's correlation of each row of (R, S) pairs; NaN where a row is constant."""
    x, y = x - x.mean(1, keepdims=True), y - y.mean(1, keepdims=True)
    spread = np.sqrt((x**2).sum(1) * (y**2).sum(1))
    none = np.full(len(x), np.nan)
    return np.asarray(np.divide((x * y).sum(1), spread, out=none, where=spread > 0))


def _line(x: Reals, y: Reals, at: Reals) -> Reals:
    """Return the least-squares line of each row of (R, S) points, at P places, (R, P)."""
    middle = x.mean(1, keepdims=True)
    square = ((x - middle) ** 2).sum(1)
    product = ((x - middle) * (y - y.mean(1, keepdims=True))).sum(1)
    slope = np.divide(product, square, out=np.full(len(x), np.nan), where=square > 0)
    return np.asarray(y.mean(1, keepdims=True) + slope[:, None] * (at[None] - middle))


def _quantiles(values: Reals) -> tuple[Reals, Reals]:
    """Return the 2.5 % and 97.5 % quantiles over rows; NaN where no row has a value."""
    if np.isnan(values).all():
        none = np.full(values.shape[1:], np.nan)
        return none, none
    low, high = np.nanpercentile(values, [2.5, 97.5], axis=0)
    return np.asarray(low), np.asarray(high)
