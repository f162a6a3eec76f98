"""SI: scale invariance (specification 2.3)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from gauntlet.pipeline.attacks.part import register
from gauntlet.pipeline.attacks.views.view import View
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.spec import Probability


@register
class ScaleInvariance(View):
    """g = (1/m) sum_i grad_x J(S_i(x)), S_i(x) = pivot + (x - pivot) / 2^i, i = 0..m-1.

    The chain factor 2^-i is part of the gradient. RGEA uses m = 4.
    """

    token = "si"
    paper = "Lin 2020"
    random = False
    cost = "m k"
    order: ClassVar[int] = 1
    m: int = Field(5, ge=1)
    """Scaled copies."""
    pivot: Probability = 0.0
    """0: towards black (papers in [0, 1]); 0.5: towards mid-grey (TensorFlow code in [-1, 1])."""

    @property
    def copies(self) -> int:
        """m."""
        return self.m

    def apply(self, images: Tensor, copy: tuple[int, ...], draws: Draws) -> Tensor:
        """Return the images at one scale, (B, 3, H, W)."""
        if copy[-1] == 0:
            return images
        scale: float = 0.5 ** copy[-1]
        return self.pivot + (images - self.pivot) * scale
