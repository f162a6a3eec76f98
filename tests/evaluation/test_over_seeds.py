"""Seeds of one attack: shares of an example, and an interval that knows both ways to vary."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from gauntlet.pipeline.evaluation.comparison import against
from gauntlet.pipeline.evaluation.over_seeds import spreads, two_way_bootstrap
from gauntlet.pipeline.evaluation.success_rates import by_group, by_target

RATES = {"drawn": (0.2, 0.5, 0.8), "still": (0.5,)}


def verdicts(n: int = 60) -> pd.DataFrame:
    draws = np.random.default_rng(1)
    rows = [
        (str(example), attack, seed, target, float(draws.random() < rate), example % 6 > 0)
        for attack, rates in RATES.items()
        for seed, rate in enumerate(rates)
        for target in ("one", "two")
        for example in range(n)
    ]
    names = ["example", "attack", "seed", "target", "success", "clean_correct"]
    return pd.DataFrame(rows, columns=names).assign(group="normal", white_box=False, step=1)


def test_a_rate_is_the_mean_over_seeds_with_their_deviation() -> None:
    frame = verdicts()
    found = by_target(frame).set_index(["attack", "target"])
    right = frame[frame["clean_correct"]]
    single = right.groupby(["attack", "target", "seed"])["success"].mean()
    for target in ("one", "two"):
        row: Any = found.loc[("drawn", target)]
        own = single["drawn"][target]
        assert row["success"] == pytest.approx(own.mean())
        assert row["success_sd"] == pytest.approx(own.std(ddof=1))
        assert (row["n"], row["n_all"], row["seeds"]) == (50, 60, 3)
        assert row["low"] < row["success"] - 0.1 < row["success"] + 0.1 < row["high"]
    group = by_group(frame).set_index("attack")
    means = single["drawn"].groupby("seed").mean()
    assert group.loc["drawn", "success_sd"] == pytest.approx(means.std(ddof=1))


def test_an_attack_of_one_seed_has_the_figures_that_it_had() -> None:
    frame = verdicts()
    still = frame[frame["attack"].eq("still")]
    alone, beside = by_target(still), by_target(frame)
    assert "seeds" not in alone
    beside = beside[beside["attack"].eq("still")].reset_index(drop=True)
    assert beside[["seeds", "success_sd"]].isna().all(axis=None)
    pd.testing.assert_frame_equal(beside[alone.columns], alone)
    pd.testing.assert_frame_equal(by_target(still.drop(columns="seed")), alone)


def test_seeds_that_differ_widen_the_interval_and_alike_ones_do_not() -> None:
    draws = np.random.default_rng(0)
    alike = np.repeat((draws.random((200, 1, 1)) < 0.5).astype(float), 3, 2)
    apart = (draws.random((200, 1, 3)) < np.array([0.2, 0.5, 0.8])).astype(float)
    low, high = two_way_bootstrap(alike)
    assert high - low == pytest.approx(2 * 1.96 * (0.25 / 200) ** 0.5, rel=0.1)
    wide_low, wide_high = two_way_bootstrap(apart)
    assert wide_high - wide_low > 3 * (high - low)
    assert np.isnan(two_way_bootstrap(np.ones((20, 2, 3)))).all()


def test_a_rate_of_one_keeps_the_interval_of_its_examples() -> None:
    frame = verdicts().assign(success=1.0)
    row: Any = by_target(frame).set_index(["attack", "target"]).loc[("drawn", "one")]
    assert 0.9 < row["low"] < row["high"] == 1.0
    assert spreads(frame, ("target",))["low"].isna().all()


def test_attacks_are_compared_on_their_means_over_seeds() -> None:
    frame = verdicts()
    ((_, label, found),) = against(frame, "still")
    right = frame[frame["clean_correct"]]
    rates = right.groupby(["attack", "target"])["success"].mean().groupby("attack").mean()
    assert label == "drawn"
    assert found.difference.value == pytest.approx(rates["drawn"] - rates["still"])
    twice = pd.concat([frame, frame[frame["seed"].eq(1)]])
    with pytest.raises(ValueError, match="occurs twice for attack 'drawn'"):
        by_target(twice)
