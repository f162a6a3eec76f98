"""Transfer utility against interaction (interaction paper, Fig. 2; specification 3.4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.compute as pc

from gauntlet.pipeline.evaluation.over_seeds import averaged
from gauntlet.pipeline.evaluation.statistics import resampling
from gauntlet.pipeline.evaluation.success_rates import last_step
from gauntlet.pipeline.evaluation.verdict_pieces import VerdictPieces
from gauntlet.pipeline.results.reading import Reading

Reals = npt.NDArray[np.float64]

LEAST_SETTINGS = 3
"""Points that a correlation needs: two always lie on a line."""
_FAIR = (pc.field("goal") == "untargeted") & ~pc.field("white_box")
_INSIDE = ("example", "attack", "seed", "interaction")
_OUTSIDE = ("example", "attack", "seed", "step", "score", "clean_score")


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
    for surrogate, measured in interactions.groupby("surrogate", sort=False, observed=True):
        for target, part in fair.groupby("target", sort=False, observed=True):
            found = _related(measured, part, str(surrogate), str(target), seed, resamples)
            if found is not None:
                yield found


def relations_of(
    reading: Reading,
    verdicts: VerdictPieces,
    attacks: Sequence[str],
    *,
    seed: int = 0,
    resamples: int = 2000,
) -> Iterator[Relation]:
    """Yield the `relations` of a run, whose rows are read for one surrogate and target at a time.

    Args:
        reading: the run.
        verdicts: its verdicts.
        attacks: those that were judged, in order.
        seed: keys the bootstrap.
        resamples: number of bootstrap samples.
    """
    batches = reading.batches("interactions", ["surrogate"])
    surrogates = dict.fromkeys(name for batch in batches for name in batch[0].unique().to_pylist())
    targets = _judging(reading, verdicts, attacks) if surrogates else []
    for surrogate, target in product(surrogates, targets):
        measured = reading.rows("interactions", _INSIDE, pc.field("surrogate") == surrogate)
        part = reading.rows("verdicts", _OUTSIDE, _FAIR & (pc.field("target") == target))
        part = part[part["step"] == part["attack"].map(verdicts.last)]
        found = _related(measured, part, surrogate, target, seed, resamples)
        if found is not None:
            yield found


def _judging(reading: Reading, verdicts: VerdictPieces, attacks: Sequence[str]) -> list[str]:
    """Return the targets of whose verdicts some are fair, in the order of attacks and rows."""
    found: dict[str, dict[str, None]] = {attack: {} for attack in attacks}
    for batch in reading.batches("verdicts", ["attack", "target", "step"], _FAIR):
        columns = (column.to_pylist() for column in batch.columns)
        for attack, target, step in dict.fromkeys(zip(*columns, strict=True)):
            if step == verdicts.last[attack]:
                found[attack][target] = None
    return [*dict.fromkeys(target for targets in found.values() for target in targets)]


def _related(
    measured: pd.DataFrame,
    judged: pd.DataFrame,
    surrogate: str,
    target: str,
    seed: int,
    resamples: int,
) -> Relation | None:
    """Return the relation of one surrogate and target, None where too few attacks have both."""
    measured, judged = (averaged(part, ("attack", "example")) for part in (measured, judged))
    gain = judged.assign(utility=judged["score"] - judged["clean_score"])
    inside = measured.pivot(index="example", columns="attack", values="interaction")
    outside = gain.pivot(index="example", columns="attack", values="utility")
    attacks = [name for name in inside.columns if name in outside.columns]
    both = inside[attacks].join(outside[attacks], how="inner", rsuffix=" utility").dropna()
    if len(attacks) < LEAST_SETTINGS or both.empty:
        return None
    values = both.to_numpy(np.float64)
    x, y = values[:, : len(attacks)], values[:, len(attacks) :]
    return _relation(surrogate, target, attacks, x, y, seed, resamples)


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
