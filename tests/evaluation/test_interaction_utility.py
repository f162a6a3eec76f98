"""Transfer utility against interaction."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gauntlet.pipeline.evaluation.interaction_utility import pearson, relations

ATTACKS = [f"a{i}" for i in range(6)]


def frames(
    slope: float, noise: float, n: int = 200, attacks: list[str] = ATTACKS
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Attacks of growing interaction whose utility follows it with a slope, and noise an image."""
    rng = np.random.default_rng(0)
    inside, outside = [], []
    for place, attack in enumerate(attacks):
        for image in range(n):
            x = place + rng.normal()
            inside.append(
                {"example": f"e{image}", "attack": attack, "surrogate": "s", "interaction": x}
            )
            outside += [
                {"example": f"e{image}", "attack": attack, "target": target, "goal": "untargeted",
                 "white_box": target == "w", "step": step, "clean_score": -2.0,
                 "score": -2.0 + (slope * x + noise * rng.normal() if step == 9 else 100.0)}
                for target in ("t", "w") for step in (3, 9)
            ]  # fmt: skip
    return pd.DataFrame(inside), pd.DataFrame(outside)


def test_points_are_means_over_images_at_the_last_step() -> None:
    inside, outside = frames(-1.0, 0.0)
    (found,) = relations(inside, outside, resamples=300)
    assert (found.surrogate, found.target, found.examples) == ("s", "t", 200)
    assert found.attacks == tuple(ATTACKS)
    means = inside.groupby("attack")["interaction"].mean()
    assert found.interaction == pytest.approx(means.to_numpy())
    assert found.utility == pytest.approx(-means.to_numpy())
    assert found.r == pytest.approx(-1.0)
    assert found.line == pytest.approx(-found.band_at)
    assert (found.band_low <= found.line + 1e-9).all()
    assert (found.line <= found.band_high + 1e-9).all()


def test_the_band_is_wide_where_images_disagree_and_holds_no_slope_where_there_is_none() -> None:
    (sure,) = relations(*frames(1.0, 1.0), resamples=500)
    (unsure,) = relations(*frames(0.0, 30.0), resamples=500)
    assert sure.r > 0.95
    assert sure.r_low > 0.9
    assert unsure.r_low < 0 < unsure.r_high
    assert (unsure.band_high - unsure.band_low).mean() > (sure.band_high - sure.band_low).mean()


def test_pearson_is_numpys_and_nan_without_spread() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 7, 5))
    expected = [np.corrcoef(a, b)[0, 1] for a, b in zip(x, y, strict=True)]
    assert pearson(x, y) == pytest.approx(expected)
    assert np.isnan(pearson(np.ones((1, 4)), y[:1, :4])).all()


def test_constant_interactions_have_no_correlation() -> None:
    inside, outside = frames(1.0, 0.0, n=5)
    (found,) = relations(inside.assign(interaction=2.0), outside, resamples=50)
    assert np.isnan([found.r, found.r_low, found.r_high]).all()


def test_only_common_images_and_enough_attacks() -> None:
    inside, outside = frames(1.0, 1.0, n=20)
    missing = inside[~((inside["attack"] == "a0") & (inside["example"] == "e3"))]
    (found,) = relations(missing, outside, resamples=50)
    assert found.examples == 19
    assert list(relations(*frames(1.0, 1.0, n=5, attacks=ATTACKS[:2]), resamples=50)) == []
    assert list(relations(inside, outside.assign(goal="targeted"), resamples=50)) == []


def test_the_bootstrap_is_keyed() -> None:
    inside, outside = frames(1.0, 5.0, n=20)
    one, two, other = (
        next(relations(inside, outside, seed=seed, resamples=50)) for seed in (0, 0, 1)
    )
    assert (one.r_low, one.r_high) == (two.r_low, two.r_high)
    assert one.r_low != other.r_low
