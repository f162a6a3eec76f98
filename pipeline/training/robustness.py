"""How many images a classifier keeps right, clean and at the worst point of a small ball."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gauntlet.pipeline.attacks.ball import Ball
from gauntlet.pipeline.cross_entropy import cross_entropy
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.training.ascent import Objective, ascend
from gauntlet.pipeline.training.unattacked import Unattacked

Logits = Callable[[Tensor], Tensor]
"""Canonical images (R, 3, H, W) in [0, 1] to logits (R, C)."""

_ROWS = 128


@dataclass(frozen=True)
class Accuracy:
    """Shares of images that are classified right.

    Attributes:
        clean: as they are.
        robust: as they are, and after PGD inside the ball.
    """

    clean: float
    robust: float


def entropy(logits: Logits, labels: Tensor) -> Objective:
    """Return the cross-entropy of each image with its label, int64 (B,), as what is raised."""
    return lambda points: cross_entropy(logits(points), labels)


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
        raised = entropy(logits, batch.labels)
        hard = ascend(raised, batch.images, ball, steps, None, draws)
        with torch.no_grad():
            right = logits(batch.images).argmax(1) == batch.labels
            held = right & (logits(hard).argmax(1) == batch.labels)
        clean += int(right.sum())
        robust += int(held.sum())
    return Accuracy(clean / len(images), robust / len(images))
