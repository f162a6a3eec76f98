"""Turning a target's raw outputs into scores and verdicts (specification 0.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from gauntlet.pipeline.batch import Goal, Task

Reals = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Classes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Judgement:
    """What one target says of B images, over R evaluations of each (R = 1 unless it is randomised).

    Attributes:
        score: mean score, float64 (B,). Classification: the attacker's margin, the wanted class's
            logit minus the best other (targeted), or the best other minus the true class's
            (untargeted). Verification: the cosine.
        success: share of the R evaluations in which the attacker succeeds, float64 (B,).
        prediction: class most often predicted, the lowest of equals, int64 (B,); None for
            verification.
        score_std: standard deviation of the score over the R evaluations (population form), (B,).
        success_std: the same of the success, (B,).
        further: verification: ``success`` at thresholds by further rules, (B,) by the rule's name.
        threshold: in a gallery: what the score was compared with, mean over the R evaluations,
            float64 (B,). None where a target has one for all images.
        rank: in a gallery: place of the second image among the others', from 1, mean over the R
            evaluations, float64 (B,).
    """

    score: Reals
    success: Reals
    prediction: Classes | None
    score_std: Reals
    success_std: Reals
    further: Mapping[str, Reals] = field(default_factory=dict)
    threshold: Reals | None = None
    rank: Reals | None = None

    def rows(self, rows: npt.NDArray[np.integer]) -> Judgement:
        """Return the judgement of some of the images, int (R,)."""
        return Judgement(
            score=self.score[rows],
            success=self.success[rows],
            prediction=None if self.prediction is None else self.prediction[rows],
            score_std=self.score_std[rows],
            success_std=self.success_std[rows],
            further={rule: success[rows] for rule, success in self.further.items()},
            threshold=None if self.threshold is None else self.threshold[rows],
            rank=None if self.rank is None else self.rank[rows],
        )


def judge(
    outputs: npt.NDArray[np.floating],
    goal: Goal,
    *,
    labels: npt.NDArray[np.integer] | None = None,
    references: npt.NDArray[np.floating] | None = None,
    threshold: float | Reals = 0.0,
    further: Mapping[str, float] | None = None,
) -> Judgement:
    """Judge the outputs of one target.

    Args:
        outputs: logits or embeddings, (R, B, C), or (B, C) for one evaluation.
        goal: what the attacker wants.
        labels: int (B,): true classes (untargeted) or wanted classes (targeted).
        references: embeddings of the second images, (R, B, C) or (B, C); verification only.
        threshold: cosine threshold of the target, or one of each evaluation and image, (R, B);
            where embeddings are compared only.
        further: its thresholds by further rules, by name; verification only.

    Raises:
        ValueError: when a shape, a label or a missing argument does not fit, or when an output is
            not finite.
    """
    outputs = _evaluations(outputs, "outputs")
    if goal.task is Task.VERIFICATION:
        if references is None:
            raise ValueError(f"goal {goal.value!r} needs the references' embeddings")
        score = cosine(outputs, _evaluations(references, "references"))
        found = _summarised(score, _reached(score, goal, threshold), None)
        others = (further or {}).items()
        also = {rule: _reached(score, goal, cosine).mean(0) for rule, cosine in others}
        return replace(found, further=also)
    if labels is None:
        raise ValueError(f"goal {goal.value!r} needs labels")
    score, predicted = _margin(outputs, _fitting(labels, outputs))
    if goal is Goal.UNTARGETED:
        return _summarised(-score, predicted != labels, predicted)
    return _summarised(score, predicted == labels, predicted)


def _reached(score: Reals, goal: Goal, threshold: float | Reals) -> Flags:
    """Return where the attacker's goal is met, bool of the scores' shape."""
    return score > threshold if goal is Goal.IMPERSONATION else score < threshold


def accepted(judgement: Judgement, threshold: float | Reals) -> Flags:
    """Return whether a verification target takes the pair for one person, bool (B,).

    The rule of the LFW protocol: accept if (mean) cosine >= threshold.
    """
    return judgement.score >= threshold


def clean_correct(
    judgement: Judgement,
    goal: Goal,
    threshold: float | Reals = 0.0,
    labels: npt.NDArray[np.integer] | None = None,
) -> Flags | None:
    """Return whether the target was right before any attack, bool (B,).

    Classification: the predicted class is the true one. Verification: the attacker's goal is not
    met yet; impersonation: the cosine does not exceed the threshold; dodging: the pair is accepted.

    Args:
        judgement: of the clean images.
        goal: what the attacker wants.
        threshold: cosine threshold, of all or of each, (B,); where embeddings are compared only.
        labels: true classes, int (B,); classification only.

    Returns:
        None when nobody can say: a targeted classification without true classes.
    """
    if goal is Goal.IMPERSONATION:
        return judgement.score <= threshold
    if goal is Goal.DODGING:
        return accepted(judgement, threshold)
    if labels is None or judgement.prediction is None:
        return None
    return np.asarray(judgement.prediction == labels)


def cosine(first: npt.NDArray[np.floating], second: npt.NDArray[np.floating]) -> Reals:
    """Return the cosine along the last axis in float64, in [-1, 1]; 0 for a zero vector."""
    first, second = first.astype(np.float64), second.astype(np.float64)
    lengths = np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1)
    products = (first * second).sum(-1)
    ratio = np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)
    return np.asarray(np.clip(ratio, -1.0, 1.0), dtype=np.float64)


def _margin(outputs: Reals, labels: Classes) -> tuple[Reals, Classes]:
    """Return each class's lead over the best other class, (R, B), and the argmax, (R, B)."""
    column = np.broadcast_to(labels[None, :, None], (*outputs.shape[:2], 1))
    own = np.take_along_axis(outputs, column, axis=2)[..., 0]
    others = outputs.copy()
    np.put_along_axis(others, column, -np.inf, axis=2)
    return own - others.max(axis=2), outputs.argmax(axis=2)


def _summarised(score: Reals, success: Flags, predicted: Classes | None) -> Judgement:
    share = success.astype(np.float64)
    return Judgement(
        score=score.mean(0),
        success=share.mean(0),
        prediction=None if predicted is None else _most_frequent(predicted),
        score_std=score.std(0),
        success_std=share.std(0),
    )


def _most_frequent(predicted: Classes) -> Classes:
    votes = (predicted[:, None] == predicted[None]).sum(0)
    tied = np.where(votes == votes.max(0), predicted, np.iinfo(np.int64).max)
    return np.asarray(tied.min(0), dtype=np.int64)


def _evaluations(values: npt.NDArray[np.floating], name: str) -> Reals:
    wide = np.asarray(values, dtype=np.float64)
    wide = wide[None] if wide.ndim == 2 else wide
    if wide.ndim != 3 or not wide.shape[0]:
        raise ValueError(f"{name} must have shape (R, B, C) or (B, C), got {np.shape(values)}")
    bad = ~np.isfinite(wide).all(axis=(0, 2))
    if bad.any():
        rows = ", ".join(map(str, np.flatnonzero(bad)[:5]))
        raise ValueError(f"{name} of {bad.sum()} images are not finite (rows {rows})")
    return wide


def _fitting(labels: npt.NDArray[np.integer], outputs: Reals) -> Classes:
    _, size, classes = outputs.shape
    if np.shape(labels) != (size,):
        raise ValueError(f"labels must have shape ({size},), got {np.shape(labels)}")
    if classes < 2:
        raise ValueError(f"a classifier needs two classes or more, the target has {classes}")
    wanted = np.asarray(labels, dtype=np.int64)
    outside = (wanted < 0) | (wanted >= classes)
    if outside.any():
        row = int(np.flatnonzero(outside)[0])
        raise ValueError(
            f"label {wanted[row]} of row {row} is outside the target's {classes} classes"
        )
    return wanted
