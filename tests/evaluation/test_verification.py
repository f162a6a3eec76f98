from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.data.data_spec import DataSpec
from gauntlet.pipeline.data.examples import open_examples
from gauntlet.pipeline.evaluation.verdict import cosine
from gauntlet.pipeline.evaluation.verification import accuracy, best_threshold, protocol
from gauntlet.pipeline.models.build import build
from gauntlet.pipeline.models.model_spec import ModelSpec

LISTS = st.lists(
    st.tuples(st.sampled_from(np.linspace(-1, 1, 9).tolist()) | st.floats(-1, 1), st.booleans()),
    min_size=1,
    max_size=40,
)


def _arrays(pairs: list[tuple[float, bool]]) -> tuple[np.ndarray, np.ndarray]:
    scores, same = zip(*pairs, strict=True)
    return np.asarray(scores, np.float64), np.asarray(same, np.bool_)


@given(LISTS)
def test_no_threshold_is_better(pairs: list[tuple[float, bool]]) -> None:
    scores, same = _arrays(pairs)
    chosen = accuracy(scores, same, best_threshold(scores, same))
    others = [*scores, *np.nextafter(scores, np.inf), -2.0, 2.0]
    assert chosen >= max(accuracy(scores, same, other) for other in others) - 1e-12


@given(LISTS, st.randoms(use_true_random=False))
def test_order_of_pairs_does_not_matter(pairs: list[tuple[float, bool]], random: object) -> None:
    scores, same = _arrays(pairs)
    order = list(range(len(pairs)))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert best_threshold(scores[order], same[order]) == best_threshold(scores, same)


def test_midpoint_of_the_gap() -> None:
    scores, same = np.array([0.1, 0.3, 0.7, 0.9]), np.array([False, False, True, True])
    assert best_threshold(scores, same) == 0.5


def test_of_equals_the_lowest() -> None:
    scores, same = np.array([0.0, 0.2, 0.4, 0.6]), np.array([False, True, False, True])
    assert best_threshold(scores, same) == pytest.approx(0.1)


def test_neighbouring_floats_are_told_apart() -> None:
    low = 0.5
    high = float(np.nextafter(low, 1))
    scores, same = np.array([low, high]), np.array([False, True])
    assert accuracy(scores, same, best_threshold(scores, same)) == 1.0


def test_accept_or_reject_all() -> None:
    scores = np.array([0.1, 0.2])
    assert best_threshold(scores, np.array([True, True])) == 0.1
    assert (
        accuracy(scores, np.array([False, False]), best_threshold(scores, ~scores.astype(bool)))
        == 1
    )


def test_the_threshold_of_a_fold_does_not_see_the_fold() -> None:
    # Fold 1 is labelled backwards: at the others' threshold it is all wrong.
    scores = np.tile([0.1, 0.2, 0.8, 0.9], 4)
    same = np.tile([False, False, True, True], 4)
    fold = np.repeat(np.arange(4), 4)
    same[fold == 1] = ~same[fold == 1]
    result = protocol(scores, same, fold)
    assert result.accuracy_mean == 0.75
    assert result.accuracy_sd == pytest.approx(np.sqrt(3) / 4)
    assert result.accuracy_standard_error == pytest.approx(0.25)
    assert result.accuracy_at_threshold == 0.75
    assert result.threshold == 0.5
    assert result.fold_thresholds.tolist() == [0.5] * 4


@pytest.mark.parametrize(
    ("scores", "same", "fold", "message"),
    [
        ([0.1, 0.2], [True], [0, 1], "equally long"),
        ([0.1, np.nan], [True, False], [0, 1], "1 of 2 scores are not finite"),
        ([0.1, 0.2], [True, True], [0, 1], "got 2 same and 0 different"),
        ([0.1, 0.2], [True, False], [0, 0], "two folds or more, got 1"),
    ],
)
def test_bad_input(scores: list[float], same: list[bool], fold: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        protocol(np.asarray(scores), np.asarray(same), np.asarray(fold))


@pytest.mark.slow  # the first is also what a run finds, in tests/run/test_faces.py
@pytest.mark.parametrize(("mirror", "threshold"), [(False, 0.3359), (True, 0.3618)])
def test_the_acceptance_threshold(data_root: Path, mirror: bool, threshold: float) -> None:
    """The acceptance data's README: best threshold, 99.92 +- 0.25 % (standard deviation)."""
    data = TypeAdapter(DataSpec).validate_python(
        {"source": "pairs", "images": "orl-faces-112.npz", "pairs": "orl-pairs.csv"}
    )
    examples = open_examples(data, Goal.IMPERSONATION, root=data_root, seed=0)
    spec = ModelSpec(
        name="mobilefacenet",
        source="file:mobilefacenet-ms1m-112.safetensors",
        architecture="mobilefacenet-112",
        mirror=mirror,
    )
    model = build(spec, root=data_root)
    with torch.inference_mode():
        embedded = np.concatenate(
            [model(examples.images(range(i, i + 50))).numpy() for i in range(0, 400, 50)]
        )
    pairs = examples.verification_pairs()
    scores = cosine(embedded[pairs.first], embedded[pairs.second])
    result = protocol(scores, pairs.same, pairs.fold)
    assert round(result.threshold, 4) == threshold
    assert round(100 * result.accuracy_mean, 2) == 99.92
    assert round(100 * result.accuracy_sd, 2) == 0.25
    assert round(100 * result.accuracy_at_threshold, 2) == 99.92
    assert result.accuracy_standard_error == pytest.approx(result.accuracy_sd / 3)
