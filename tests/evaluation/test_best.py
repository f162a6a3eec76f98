"""The best of a column, and who cannot be told from it."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from gauntlet.pipeline.evaluation.best import paired_p, sign_flip_p, told_apart
from gauntlet.pipeline.evaluation.statistics import mcnemar


def test_holm_rejects_from_the_smallest_until_one_is_too_large() -> None:
    # 0.005 <= 0.05/4, 0.01 <= 0.05/3, but 0.03 > 0.05/2: 0.04 is not asked any more.
    assert told_apart([0.01, 0.04, 0.03, 0.005]) == [True, False, False, True]
    # Each alone would be told apart at 5 %; both have 0.03 > 0.05/2.
    assert told_apart([0.03, 0.03]) == [False, False]
    assert told_apart([]) == []


def test_on_one_target_it_is_mcnemar_s_test() -> None:
    one, two = np.array([1.0, 1, 1, 0, 1, 0]), np.array([0.0, 0, 0, 1, 1, 0])
    # 3 against 1: twice (1 + 4) of 16.
    assert paired_p(one[:, None], two[:, None]) == mcnemar(one, two).p_value == 0.625
    assert sign_flip_p(one - two) == 0.625


def test_means_over_targets_keep_what_is_of_one_example_together() -> None:
    one = np.array([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    # Gains of 2 and 1: of the sums 3, 1, -1, -3 two are as far from 0 as the 3 that was seen.
    assert paired_p(one, np.zeros((3, 2))) == 0.5
    # Where an example does not count for one of the two, it counts for neither.
    two = np.zeros((3, 2))
    two[0] = np.nan
    assert paired_p(one, two) == 1.0
    assert paired_p(one, np.full((3, 2), np.nan)) is None


def test_few_examples_are_counted_over_all_signs_and_many_by_the_normal_limit() -> None:
    draws = np.random.default_rng(0)
    few = draws.normal(0.3, 1, 11)
    signs = np.array([*product((-1, 1), repeat=11)])
    exact = (np.abs(signs @ few) >= abs(few.sum()) - 1e-9).mean()
    assert sign_flip_p(few) == pytest.approx(exact)
    assert sign_flip_p(np.array([*few, *[0.0] * 50])) == pytest.approx(exact)
    many = draws.normal(0.2, 1, 400)
    flipped = draws.choice([-1, 1], (20_000, 400)) @ many
    assert sign_flip_p(many) == pytest.approx((np.abs(flipped) >= abs(many.sum())).mean(), abs=0.01)
    assert sign_flip_p(np.array([1.0, -1.0])) == sign_flip_p(np.zeros(3)) == 1.0
