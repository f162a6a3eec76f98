"""How many images a classifier keeps right, clean and at the worst point of a small ball."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gauntlet.pipeline.attacks.ball import Ball
from gauntlet.pipeline.cross_entropy import cross_entropy
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.norms import normalise
from gauntlet.pipeline.training.unattacked import Unattacked

Logits = Callable[[Tensor], Tensor]
"""Canonical images (R, 3, H, W) in [0, 1] to logits (R, C)."""

_ROWS = 128
_REACH = 2.5
"""Total reach of the default steps, in budgets, so that the whole ball is in reach."""


@dataclass(frozen=True)
class Accuracy:
    """Shares of images that are classified right.

    Attributes:
        clean: as they are.
        robust: as they are, and after PGD inside the ball.
    """

    clean: float
    robust: float


def climb(
    logits: Logits,
    images: Tensor,
    labels: Tensor,
    ball: Ball,
    steps: int,
    step_size: float | None,
    draws: Draws,
) -> Tensor:
    """Return points of the ball with a greater cross-entropy (Madry 2018, eq. 2.1, inner maximum).

    Projected gradient ascent from a random point: signed steps in an linf ball, steps of one length
    in an l2 ball.

    Args:
        logits: the classifier.
        images: centres, (B, 3, H, W).
        labels: classes, int64 (B,).
        ball: the allowed points.
        steps: how many steps.
        step_size: length of a step; 2.5 radii shared among the steps by default.
        draws: one stream per image, for the start.
    """
    stride = _REACH * ball.epsilon / max(steps, 1) if step_size is None else step_size
    points = ball.random_point(images, draws)
    for _ in range(steps):
        points = points.detach().requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(cross_entropy(logits(points), labels).sum(), points)
        direction = normalise(gradient, "sign" if ball.norm == "linf" else "l2")
        points = ball.project(points.detach() + stride * direction, images)
    return points.detach()


def accuracy(
    logits: Logits, images: Unattacked, ball: Ball, steps: int, seed: int, like: Tensor
) -> Accuracy:
    """Return clean and robust accuracy; two classifiers are judged from the same random starts.

    Args:
        logits: the classifier, in eval mode.
        images: to judge by.
        ball: of the adversary.
        steps: of PGD.
        seed: keys the random starts, with each image's id.
        like: gives device and floating point type.
    """
    clean = robust = 0
    for rows in torch.split(torch.arange(len(images)), _ROWS):
        batch = images.batch(rows).to(like.device, like.dtype)
        assert batch.labels is not None
        draws = Draws.keyed(seed, batch.ids, attack="robust accuracy")
        hard = climb(logits, batch.images, batch.labels, ball, steps, None, draws)
        with torch.no_grad():
            right = logits(batch.images).argmax(1) == batch.labels
            held = right & (logits(hard).argmax(1) == batch.labels)
        clean += int(right.sum())
        robust += int(held.sum())
    return Accuracy(clean / len(images), robust / len(images))
