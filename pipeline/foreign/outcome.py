"""Adversarial images that are not ours, brought into the ball that they are to be compared in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gauntlet.pipeline.attacks.ask import Lost
from gauntlet.pipeline.attacks.ball import Ball
from gauntlet.pipeline.attacks.loop import Trace
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Batch
from gauntlet.pipeline.norms import l2, linf

_LEVELS = 16
"""Values above it look like 8-bit levels: normalised images end far below, dark ones above."""


@dataclass(frozen=True)
class Brought:
    """Foreign images, on the CPU, where their attack was to leave them.

    Attributes:
        images: in the ball, 8-bit if that is wanted, (B, 3, H, W); the clean image of a lost one.
        lost: examples without a usable image, by row.
        excess: by how much each had left the ball, in [0, 1] units of its norm, float64 (B,).
    """

    images: Tensor
    lost: dict[int, Lost]
    excess: Tensor

    @property
    def trace(self) -> Trace:
        """The record of no step."""
        none = torch.zeros(0, len(self.images))
        of_models = torch.zeros(0, len(self.images), 0)
        return Trace(of_models, of_models, none, none, none > 0, none > 0)


def brought(
    attack: Attack, batch: Batch, found: object, quantize: bool, missing: dict[int, Lost]
) -> Brought:
    """Return foreign images clipped to the attack's ball, and by how much they had left it.

    Args:
        attack: has the ball.
        batch: the clean examples.
        found: what somebody made of them: a tensor or array, (B, 3, H, W) in [0, 1], anywhere.
        quantize: round to 8 bits, inside the ball.
        missing: examples that there is nothing of, by row.

    Raises:
        ValueError: when it is no image of these examples: of another shape, in 0..255.
    """
    clean = batch.images.detach().cpu()
    who = f"{attack.label}: {attack.foreign}"
    if isinstance(found, np.ndarray):
        found = torch.from_numpy(np.ascontiguousarray(found))
    if not isinstance(found, Tensor):
        raise ValueError(f"{who} returned {type(found).__name__}, expected a tensor of images")
    if found.shape != clean.shape:
        raise ValueError(
            f"{who} returned shape {tuple(found.shape)}, expected {tuple(clean.shape)}"
        )
    images = found.detach().cpu().to(clean.dtype)
    finite = torch.isfinite(images).flatten(1).all(1)
    lost = dict(missing)
    for row in (~finite).nonzero()[:, 0].tolist():
        lost.setdefault(row, Lost(batch.ids[row], 0, "all", "the foreign image is not finite"))
    rows = torch.tensor(sorted(lost), dtype=torch.int64)
    images = images.index_copy(0, rows, clean[rows])
    low, high = (float(end) for end in images.aminmax()) if images.numel() else (0.0, 0.0)
    if high > 2:
        # Whole levels start at 0 and end near 255; a scaled or normalised image does neither.
        levels = (
            "divide by 255" if low > -_LEVELS and high > _LEVELS else "other units, or normalised"
        )
        raise ValueError(
            f"{who} returned values from {low:.4g} to {high:.4g}, expected [0, 1]: {levels}"
        )
    ball = attack.method(batch.goal, clean[0].numel()).ball
    excess = _excess(images, clean, ball)
    inside = ball.project(images, clean)
    return Brought(ball.quantize(inside, clean) if quantize else inside, lost, excess)


def _excess(images: Tensor, clean: Tensor, ball: Ball) -> Tensor:
    """Return by how much each example lies outside the ball, or outside [0, 1]."""
    delta = images.double() - clean.double()
    size = linf(delta) if ball.norm == "linf" else l2(delta)
    beyond = (images - images.clamp(0, 1)).double().abs().flatten(1).amax(1)
    # float32 cannot say 8/255 exactly: less than a hundredth of a level is no excess.
    over = torch.maximum(size - ball.epsilon, beyond)
    return torch.where(over > 1e-2 / 255, over, 0.0)
