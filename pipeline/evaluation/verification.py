"""The LFW protocol: a verification model's threshold and accuracy (specification 5.2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Reals = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Threshold:
    """What the protocol finds for one model on one list of pairs.

    Attributes:
        threshold: the one with the best accuracy on all pairs; same person if cosine >= threshold.
        accuracy_mean: mean over the folds of the accuracy on a fold at the threshold that is best
            on the other folds.
        accuracy_standard_error: of that mean: sample standard deviation over the folds (divisor
            folds - 1) / sqrt(folds), as LFW's authors report it.
        accuracy_sd: standard deviation over the folds, divisor folds (published tables' "± sd").
        accuracy_at_threshold: accuracy on all pairs at ``threshold``; optimistic, as it was chosen
            on them.
        fold_thresholds: threshold used on each fold, float64 (folds,).
    """

    threshold: float
    accuracy_mean: float
    accuracy_standard_error: float
    accuracy_sd: float
    accuracy_at_threshold: float
    fold_thresholds: Reals


def protocol(scores: Reals, same: Flags, fold: npt.NDArray[np.integer]) -> Threshold:
    """Run the LFW protocol on P pairs.

    Args:
        scores: cosine of each pair, (P,).
        same: whether the pair shows one person, bool (P,).
        fold: fold of each pair, any integers, (P,).

    Raises:
        ValueError: when shapes differ, a score is not finite, one of the two kinds of pair is
            missing, or there are fewer than two folds.
    """
    scores = np.asarray(scores, dtype=np.float64)
    same, fold = np.asarray(same, dtype=np.bool_), np.asarray(fold)
    if not (scores.ndim == 1 and scores.shape == same.shape == fold.shape):
        raise ValueError(
            f"scores, same and fold must be equally long lists, got shapes "
            f"{scores.shape}, {same.shape}, {fold.shape}"
        )
    if not np.isfinite(scores).all():
        raise ValueError(f"{(~np.isfinite(scores)).sum()} of {len(scores)} scores are not finite")
    if same.all() or not same.any():
        raise ValueError(
            f"a threshold needs pairs of both kinds, got {same.sum()} same and "
            f"{(~same).sum()} different"
        )
    folds = np.unique(fold)
    if len(folds) < 2:
        raise ValueError(f"the protocol needs two folds or more, got {len(folds)}")
    thresholds = np.empty(len(folds))
    accuracies = np.empty(len(folds))
    for row, name in enumerate(folds):
        held_out = fold == name
        thresholds[row] = best_threshold(scores[~held_out], same[~held_out])
        accuracies[row] = accuracy(scores[held_out], same[held_out], thresholds[row])
    overall = best_threshold(scores, same)
    return Threshold(
        threshold=overall,
        accuracy_mean=float(accuracies.mean()),
        accuracy_standard_error=float(accuracies.std(ddof=1) / np.sqrt(len(folds))),
        accuracy_sd=float(accuracies.std()),
        accuracy_at_threshold=accuracy(scores, same, overall),
        fold_thresholds=thresholds,
    )


def unit_rows(vectors: npt.NDArray[np.floating]) -> Reals:
    """Return embeddings (P, D) at length 1, in float64: the cosine of two is their product."""
    wide = vectors.astype(np.float64)
    norms = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.asarray(wide / np.maximum(norms, 1e-300))


def accuracy(scores: Reals, same: Flags, threshold: float) -> float:
    """Return the share of pairs that the rule "same if score >= threshold" gets right."""
    return float(((scores >= threshold) == same).mean())


def best_threshold(scores: Reals, same: Flags) -> float:
    """Return the threshold with the best accuracy on the pairs given.

    Candidates are exact, not a grid: the lowest score (all pairs accepted), the midpoints between
    neighbouring distinct scores, and the next number above the highest score (none accepted). Of
    equally good ones the lowest is returned.
    """
    distinct, place = np.unique(scores, return_inverse=True)
    genuine = np.bincount(place, weights=same, minlength=len(distinct))
    impostors = np.bincount(place, weights=~same, minlength=len(distinct))
    # Candidate i rejects the i lowest distinct scores: right are the impostors below it and the
    # genuine pairs above it.
    right = np.concatenate(([0.0], impostors.cumsum())) + (
        genuine.sum() - np.concatenate(([0.0], genuine.cumsum()))
    )
    chosen = int(right.argmax())
    if chosen == 0:
        return float(distinct[0])
    if chosen == len(distinct):
        return float(np.nextafter(distinct[-1], np.inf))
    below, above = distinct[chosen - 1], distinct[chosen]
    middle = below + (above - below) / 2
    # Between neighbouring floats the midpoint rounds to one of them, and `below` must be rejected.
    return float(middle if middle > below else above)
