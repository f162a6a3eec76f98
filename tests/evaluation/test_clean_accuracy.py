from __future__ import annotations

import numpy as np
import pytest

from gauntlet.pipeline.evaluation.clean_accuracy import CleanAccuracy, better, right_pairs
from gauntlet.pipeline.evaluation.statistics import wilson


@pytest.mark.parametrize(
    ("right", "of", "classes", "suspicion"),
    [
        (0, 64, 1000, "near zero"),
        (1, 64, 10, "near zero"),
        (2, 64, 10, "near chance, which is 10 %"),
        (6, 64, 10, "near chance, which is 10 %"),
        (7, 64, 10, None),  # its interval reaches 21 %
        (2, 64, 100, None),
        (1, 64, 2, "near zero"),
        (20, 64, 2, None),  # chance is no fault of a model that must choose between two
        (0, 8, 10, "near zero"),
        (0, 3, 10, None),  # three examples say nothing
        (1, 1, 10, None),
        (0, 0, 10, None),
        (38, 64, None, "near chance, which is 50 %"),
        (39, 64, None, None),
    ],
)
def test_what_is_near_zero_and_near_chance(right, of, classes, suspicion):
    assert CleanAccuracy(right, of, classes).suspicion == suspicion


def test_near_chance_is_by_the_upper_end_of_wilson_s_interval():
    for right in range(2, 65):
        found = CleanAccuracy(right, 64, 10)
        assert found.near_chance == (float(wilson(right, 64)[1]) < 0.2)


def test_a_better_reading_is_better_on_the_same_examples():
    given = np.zeros(64, bool)
    given[:20] = True
    assert better(given, given) == (0, 1.0)
    other = given.copy()
    other[20:40] = True
    gain, p = better(other, given)
    assert gain == 20
    assert p == pytest.approx(2 * 0.5**20)
    assert better(given, other)[0] == -20


def test_pairs_are_judged_by_a_threshold_from_the_others():
    draws = np.random.default_rng(0)
    same = np.arange(64) % 2 == 0
    noise = draws.normal(size=64)
    told = right_pairs(noise + 6 * same, same, None)
    assert told.mean() > 0.9
    # A threshold found on the very pairs would be right about more than half of any noise.
    rates = [right_pairs(draws.normal(size=64), same, None).mean() for _ in range(50)]
    assert np.mean(rates) == pytest.approx(0.5, abs=0.03)
    assert right_pairs(noise, same, threshold=100.0).tolist() == (~same).tolist()
