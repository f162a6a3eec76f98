from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.evaluation.verdict import accepted, clean_correct, cosine, judge

LOGITS = np.array([[1.0, 3.0, 2.0], [5.0, 0.0, 1.0], [2.0, 2.0, 0.0]])


def test_untargeted_margin_and_success() -> None:
    verdict = judge(LOGITS, Goal.UNTARGETED, labels=np.array([1, 1, 1]))
    assert verdict.score.tolist() == [-1.0, 5.0, 0.0]
    # In a tie the lower class is predicted: image 2 counts as class 0.
    assert verdict.success.tolist() == [0.0, 1.0, 1.0]
    assert verdict.prediction is not None
    assert verdict.prediction.tolist() == [1, 0, 0]
    tied = judge(LOGITS[2:], Goal.UNTARGETED, labels=np.array([0]))
    assert (tied.score.tolist(), tied.success.tolist()) == ([0.0], [0.0])


def test_targeted_margin_and_success() -> None:
    verdict = judge(LOGITS, Goal.TARGETED, labels=np.array([2, 0, 0]))
    assert verdict.score.tolist() == [-1.0, 4.0, 0.0]
    assert verdict.success.tolist() == [0.0, 1.0, 1.0]


@pytest.mark.parametrize("goal", [Goal.IMPERSONATION, Goal.DODGING])
def test_verification_is_strict_at_the_threshold(goal: Goal) -> None:
    images = np.array([[1.0, 0.0]] * 3)
    references = np.array([[3.0, 4.0], [0.0, 2.0], [0.5, 0.0]])
    verdict = judge(images, goal, references=references, threshold=0.6)
    assert verdict.score.tolist() == pytest.approx([0.6, 0.0, 1.0])
    expected = [0.0, 0.0, 1.0] if goal is Goal.IMPERSONATION else [0.0, 1.0, 0.0]
    assert verdict.success.tolist() == expected
    assert verdict.prediction is None
    assert accepted(verdict, 0.6).tolist() == [True, False, True]
    correct = clean_correct(verdict, goal, 0.6)
    assert correct is not None
    assert correct.tolist() == [success == 0 for success in expected]


def test_cosine_is_double_precision_bounded_and_guarded() -> None:
    vector = np.full((1, 128), 0.1, np.float32)
    assert cosine(vector, vector).dtype == np.float64
    assert cosine(vector, vector)[0] <= 1.0
    assert cosine(np.zeros((1, 4)), np.ones((1, 4)))[0] == 0.0


def test_clean_correct_of_classifiers() -> None:
    verdict = judge(LOGITS, Goal.TARGETED, labels=np.array([2, 2, 2]))
    correct = clean_correct(verdict, Goal.TARGETED, labels=np.array([1, 1, 0]))
    assert correct is not None
    assert correct.tolist() == [True, False, True]
    assert clean_correct(verdict, Goal.TARGETED) is None


def test_repeats_of_a_randomised_target() -> None:
    outputs = np.array([[[0.0, 2.0]], [[0.0, 4.0]], [[1.0, 0.0]], [[0.0, 2.0]]])
    verdict = judge(outputs, Goal.UNTARGETED, labels=np.array([0]))
    assert verdict.score.tolist() == [1.75]
    assert verdict.success.tolist() == [0.75]
    assert verdict.success_std.tolist() == pytest.approx([np.std([1, 1, 0, 1])])
    assert verdict.score_std.tolist() == pytest.approx([np.std([2, 4, -1, 2])])
    assert verdict.prediction is not None
    assert verdict.prediction.tolist() == [1]
    even = judge(outputs[1:3], Goal.UNTARGETED, labels=np.array([0]))
    assert even.prediction is not None
    assert even.prediction.tolist() == [0]


def test_further_thresholds_are_judged_at_each_evaluation() -> None:
    references = np.array([[1.0, 0.0]])
    outputs = np.array([[[1.0, 0.0]], [[3.0, 4.0]], [[0.0, 1.0]], [[4.0, 3.0]]])  # 1, 0.6, 0, 0.8
    verdict = judge(
        outputs,
        Goal.IMPERSONATION,
        references=np.repeat(references[None], 4, 0),
        threshold=0.5,
        further={"far_0.01": 0.7, "far_0.001": 0.9},
    )
    assert verdict.success.tolist() == [0.75]
    assert {rule: share.tolist() for rule, share in verdict.further.items()} == {
        "far_0.01": [0.5], "far_0.001": [0.25]
    }  # fmt: skip
    assert verdict.rows(np.array([0])).further["far_0.01"].tolist() == [0.5]


@pytest.mark.parametrize(
    ("outputs", "goal", "arguments", "message"),
    [
        (LOGITS, Goal.UNTARGETED, {}, "needs labels"),
        (LOGITS, Goal.DODGING, {}, "needs the references"),
        (LOGITS, Goal.UNTARGETED, {"labels": np.array([0])}, r"shape \(3,\), got \(1,\)"),
        (LOGITS, Goal.TARGETED, {"labels": np.array([0, 3, 0])}, "label 3 of row 1 is outside"),
        (LOGITS[0], Goal.TARGETED, {"labels": np.array([0])}, r"\(R, B, C\)"),
        (LOGITS[:, :1], Goal.TARGETED, {"labels": np.zeros(3, int)}, "two classes or more"),
        (LOGITS * np.nan, Goal.TARGETED, {"labels": np.zeros(3, int)}, "3 images are not finite"),
    ],
)
def test_bad_input(
    outputs: np.ndarray, goal: Goal, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        judge(outputs, goal, **arguments)
