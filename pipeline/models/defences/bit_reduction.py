"""Bit reduction: fewer grey levels."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.models.defences.defence import Gradient, passed, register
from gauntlet.pipeline.models.defences.first_three import OneOfThree


@register
class BitReduction(OneOfThree):
    """Rounds every value to one of 2^bits levels: round(x (2^bits - 1)) / (2^bits - 1)."""

    kind: Literal["bit-reduction"]
    """Which transform."""
    bits: int = Field(4, ge=1, le=8)
    """Bits kept of each channel's eight."""
    gradient: Gradient = "straight-through"
    """What a white-box gradient sees: the identity, or nothing at all, rounding's true derivative,
    which looks like robustness and is none."""

    def __call__(self, images: Tensor, draws: Draws | None = None) -> Tensor:
        """Return the rounded images."""
        steps = 2**self.bits - 1
        return passed(images, (images.detach() * steps).round() / steps, self.gradient)
