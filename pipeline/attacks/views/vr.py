"""VR: gradients smoothed over Gaussian noise (specification 2.3)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from gauntlet.pipeline.attacks.part import register
from gauntlet.pipeline.attacks.views.view import View
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.spec import Quantity


@register
class VarianceReduced(View):
    """g = (1/m) sum_j grad J(x + xi_j), xi_j ~ N(0, sigma^2), fresh at every step, not clipped.

    Not VMI, which carries the noisy gradient over to the next step.
    """

    token = "vr"
    paper = "Wu 2018"
    cost = "m k"
    order: ClassVar[int] = 0
    m: int = Field(20, ge=1)
    """Noisy copies."""
    sigma: Quantity = Field(15 / 255, ge=0)
    """Standard deviation of the noise, in [0, 1] units."""

    @property
    def copies(self) -> int:
        """m."""
        return self.m

    def apply(self, images: Tensor, copy: tuple[int, ...], draws: Draws) -> Tensor:
        """Return the images plus noise, (B, 3, H, W)."""
        if self.sigma == 0:
            return images
        purpose = f"vr/{copy}"
        noise = draws.normal(
            purpose, tuple(images.shape[1:]), device=images.device, dtype=images.dtype
        )
        return images + self.sigma * noise
