from __future__ import annotations

import numpy as np
import pytest

from gauntlet.pipeline.evaluation.false_accepts import at_false_accept_rate, pairs_needed


def test_no_more_than_the_rate_pass() -> None:
    scores = np.arange(1000) / 1000
    found = at_false_accept_rate(scores, 0.01)
    assert found.accepted == 10
    assert 0.989 < found.threshold <= 0.99
    assert found.low < found.threshold < found.high
    # Equal scores pass together, or not at all.
    tied = np.concatenate((np.full(20, 0.9), np.linspace(0, 0.5, 980)))
    assert at_false_accept_rate(tied, 0.01).accepted == 0
    assert at_false_accept_rate(tied, 0.02).accepted == 20


def test_the_interval_holds_the_true_threshold_as_often_as_it_says() -> None:
    draw = np.random.default_rng(0)
    for count, rate in ((600, 0.01), (5000, 0.01), (1200, 0.05)):
        held = 0
        for _ in range(400):
            found = at_false_accept_rate(draw.uniform(size=count), rate)
            held += found.low <= 1 - rate <= found.high
        # The scores of 400 such tries: 95 % or a little more, as ranks are whole numbers.
        assert 0.93 * 400 < held < 0.995 * 400


def test_too_few_pairs_cannot_fix_a_rate() -> None:
    assert pairs_needed(1e-2) == 368
    assert pairs_needed(1e-3) == 3688
    scores = np.linspace(-1, 1, 600)
    assert at_false_accept_rate(scores, 1e-2).impostors == 600
    with pytest.raises(ValueError, match=r"0.001 needs 3,688 pairs .* here are 600"):
        at_false_accept_rate(scores, 1e-3)


def test_a_million_pairs_have_an_interval_too() -> None:
    found = at_false_accept_rate(np.arange(1_000_000) / 1e6, 1e-4)
    assert found.accepted == 100
    assert 0.99985 < found.low < found.threshold < found.high < 0.99995


@pytest.mark.parametrize(("scores", "rate"), [([0.1] * 500, 0.0), ([0.1] * 500, 1.0)])
def test_impossible_rates_are_refused(scores: list[float], rate: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        at_false_accept_rate(np.asarray(scores), rate)


def test_scores_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="1 of 500 scores are not finite"):
        at_false_accept_rate(np.asarray([np.nan] + [0.1] * 499), 0.01)
