from __future__ import annotations

import numpy as np
import pytest

from gauntlet.pipeline.evaluation.error_rates import at_threshold, equal_error_rate, interval


def pairs(impostors: list[float], genuine: list[float]) -> tuple[np.ndarray, np.ndarray]:
    scores = np.asarray([*impostors, *genuine])
    return scores, np.arange(len(scores)) >= len(impostors)


def test_equal_scores_pass_a_threshold_together() -> None:
    scores, same = pairs([0.1, 0.5, 0.5], [0.5, 0.9])
    found = at_threshold(scores, same, 0.5)
    assert (found.impostors, found.false_accepts, found.genuine, found.true_accepts) == (3, 2, 2, 2)
    above = at_threshold(scores, same, float(np.nextafter(0.5, 1)))
    assert (above.false_accepts, above.true_accepts, above.true_accept_rate) == (0, 1, 0.5)


@pytest.mark.parametrize(
    ("impostors", "genuine", "rate"),
    [
        ([0.1, 0.2], [0.8, 0.9], 0),  # kept apart
        ([0.9], [0.1], 1),  # the wrong way round
        ([0.5], [0.5], 1 / 2),  # all equal: a coin
        # From 0.65 on one of four impostors passes, and one of four genuine pairs does not.
        ([0.1, 0.2, 0.6, 0.7], [0.5, 0.65, 0.8, 0.9], 1 / 4),
        # From 0.5 on the rates are 2/3 and 0, above it 0 and 1/2: they meet 4/7 of the way.
        ([0.1, 0.5, 0.5], [0.5, 0.9], 2 / 7),
    ],
)
def test_the_equal_error_rate_by_hand(
    impostors: list[float], genuine: list[float], rate: float
) -> None:
    scores, same = pairs(impostors, genuine)
    assert equal_error_rate(scores, same) == pytest.approx(rate, abs=1e-15)
    back = np.arange(len(scores))[::-1]
    assert equal_error_rate(scores[back], same[back]) == equal_error_rate(scores, same)
    assert equal_error_rate(np.exp(scores), same) == equal_error_rate(scores, same)
    # Told apart the other way round, the two kinds change places, and the errors with them.
    assert equal_error_rate(-scores, ~same) == pytest.approx(rate, abs=1e-15)


def test_intervals_are_clopper_and_pearson_s() -> None:
    ends = [interval(count, 10) for count in (0, 1, 10)]
    assert [low for low, _ in ends] == pytest.approx([0, 1 - 0.975**0.1, 0.025**0.1])
    assert [high for _, high in ends] == pytest.approx([1 - 0.025**0.1, 0.4450161, 1])
