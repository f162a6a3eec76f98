from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gauntlet.pipeline.evaluation.statistics import compare, mcnemar, paired_bootstrap, wilson

COUNTS = st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(COUNTS)
def test_wilson_agrees_with_scipy(counts: tuple[int, int]) -> None:
    k, n = counts
    reference = stats.binomtest(k, n).proportion_ci(0.95, method="wilson")
    low, high = wilson(k, n)
    assert (float(low), float(high)) == pytest.approx((reference.low, reference.high), abs=1e-12)


@given(COUNTS, st.floats(0, 1))
def test_wilson_holds_the_rate_and_mirrors(counts: tuple[int, int], share: float) -> None:
    k, n = counts[0] * share, counts[1]
    low, high = wilson(k, n)
    assert 0 <= low <= k / n <= high <= 1
    mirrored_low, mirrored_high = wilson(n - k, n)
    assert (1 - mirrored_high, 1 - mirrored_low) == pytest.approx((float(low), float(high)))


def test_wilson_is_vectorised_and_knows_nothing_of_nothing() -> None:
    low, high = wilson(np.array([0.0, 5.0, 2.5]), np.array([0, 5, 5]))
    assert (low[0], high[0]) == (0.0, 1.0)
    assert high[1] == 1.0
    assert low[2] < 0.5 < high[2]
    with pytest.raises(ValueError, match="between 0 and n"):
        wilson(6, 5)


def test_mcnemar_exact_and_asymptotic() -> None:
    few = mcnemar([1] * 8 + [0] * 2 + [1] * 5, [0] * 8 + [1] * 2 + [1] * 5)
    assert (few.only_first, few.only_second, few.exact) == (8, 2, True)
    assert few.p_value == pytest.approx(stats.binomtest(8, 10).pvalue)
    many = mcnemar([1] * 40 + [0] * 20, [0] * 40 + [1] * 20)
    assert not many.exact
    assert many.p_value == pytest.approx(stats.chi2.sf(19**2 / 60, 1))
    assert mcnemar([1, 0], [1, 0]).p_value == 1.0
    with pytest.raises(ValueError, match="0 or 1"):
        mcnemar([0.5], [1])
    with pytest.raises(ValueError, match="equally long"):
        mcnemar([1, 0], [1])


@pytest.mark.parametrize("disagree", [0, 1, 2, 7, 24, 25, 26, 60, 999])
def test_mcnemar_agrees_with_scipy(disagree: int) -> None:
    for wins in range(0, disagree + 1, 1 + disagree // 50):
        losses = disagree - wins
        found = mcnemar([1] * wins + [0] * losses, [0] * wins + [1] * losses)
        if disagree == 0:
            expected = 1.0
        elif found.exact:
            expected = stats.binomtest(wins, disagree).pvalue
        else:
            expected = stats.chi2.sf(max(abs(wins - losses) - 1, 0) ** 2 / disagree, 1)
        assert found.p_value == pytest.approx(expected, rel=1e-12)


def _methods(n: int, targets: int, gain: float) -> tuple[np.ndarray, np.ndarray]:
    draws = np.random.default_rng(0).random((n, targets))
    return (draws < 0.4 + gain).astype(float), (draws < 0.4).astype(float)


def test_bootstrap_is_about_the_paired_difference() -> None:
    first, second = _methods(400, 3, 0.1)
    found = paired_bootstrap(first, second, seed=3)
    assert found.value == pytest.approx((first - second).mean())
    # Standard error of the mean over examples of the per-example difference.
    error = (first - second).mean(1).std() / np.sqrt(400)
    assert (found.low, found.high) == pytest.approx(
        (found.value - 1.96 * error, found.value + 1.96 * error), abs=0.15 * error
    )
    assert found == paired_bootstrap(first, second, seed=3)
    assert found != paired_bootstrap(first, second, seed=4)


def test_bootstrap_gives_each_target_its_own_denominator() -> None:
    first = np.array([[1.0, 1.0], [1.0, np.nan], [0.0, np.nan], [0.0, 0.0]])
    second = np.array([[0.0, 0.0], [1.0, np.nan], [0.0, np.nan], [0.0, 0.0]])
    assert paired_bootstrap(first, second).value == pytest.approx((0.25 + 0.5) / 2)
    with pytest.raises(ValueError, match="same examples"):
        paired_bootstrap(first, np.nan_to_num(second))
    with pytest.raises(ValueError, match="no example that counts"):
        paired_bootstrap([np.nan], [np.nan])


def test_no_difference_shown_is_said() -> None:
    first, second = _methods(400, 1, 0.15)
    shown = compare(first, second, names=("rgea", "ens"))
    assert shown.words.startswith("rgea differs from ens: +")
    assert shown.mcnemar is not None
    assert shown.mcnemar.p_value < 0.05
    none = compare(*reversed(_methods(40, 2, 0.02)), names=("ens", "rgea"))
    assert none.difference.low <= 0 <= none.difference.high
    assert none.words.startswith("no difference shown: ens against rgea")
    assert none.mcnemar is None


def test_three_examples_show_nothing() -> None:
    # The bootstrap of a constant has no width; McNemar's test keeps it honest.
    found = compare([1, 1, 1], [0, 0, 0])
    assert found.difference.shown
    assert found.words.startswith("no difference shown")


def test_trap_15_no_global_generator() -> None:
    before = (random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist())
    paired_bootstrap(*_methods(50, 2, 0.1))
    assert (random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist()) == before
