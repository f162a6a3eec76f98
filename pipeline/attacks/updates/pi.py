"""PI: patch-wise iterative steps (specification 2.7)."""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field, field_validator
from torch import Tensor

from gauntlet.pipeline.attacks.part import Choice, register
from gauntlet.pipeline.attacks.step import Step
from gauntlet.pipeline.attacks.updates.update import Update
from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.spec import Quantity


@register
class PatchWise(Update):
    """PI: oversized sign steps whose excess over the ball is handed to the neighbouring pixels.

    a <- a + beta alpha sign(d); C = max(|a| - eps, 0) sign(a); P = gamma sign(W * C);
    a <- a + P; x <- P_ball(x + beta alpha sign(d) + P). W is a ``kernel`` x ``kernel`` mean of the
    neighbours, without the centre, channel by channel. The accumulator a is never clipped. The
    paper has epsilon 16/255, T = 10, alpha = eps/T and no momentum.
    """

    token = "pi"
    paper = "Gao 2020"
    random = False
    needs = "linf ball and sign steps"
    beta: float = Field(10.0, gt=0)
    """Amplification of the step; 2.5 together with `di`."""
    gamma: Annotated[Quantity | None, Field(ge=0)] = None
    """Size of the projected step in [0, 1] units; beta alpha by default. Together with `di` FIA's
    code has half of that, which must be given."""
    kernel: int = Field(3, ge=3)
    """Side of the projection kernel, odd."""
    feedback: bool = True
    """Add the projected step to the accumulator, as the official code does."""

    @field_validator("kernel")
    @classmethod
    def _odd(cls, kernel: int) -> int:
        if kernel % 2 == 0:
            raise ValueError(f"the kernel's side must be odd, got {kernel}")
        return kernel

    def objection(self, choice: Choice, goal: Goal | None) -> str | None:
        """Refuse other balls and other steps than those of the accumulator."""
        if choice.norm == "linf" and choice.normaliser == "sign":
            return None
        return (
            "pi accumulates sign steps: it needs `norm: linf` and `normalise: sign`, "
            f"got {choice.norm} and {choice.normaliser}"
        )

    def advance(
        self, points: Tensor, direction: Tensor, memory: Tensor | None, step: Step
    ) -> tuple[Tensor, Tensor]:
        """Return the next points and the accumulator, both (B, 3, H, W)."""
        move = self.beta * step.size * direction.sign()
        total = move if memory is None else memory + move
        epsilon = step.ball.epsilon
        excess = (total.abs() - epsilon).clamp_min(0) * total.sign()
        spread = self.spread(excess)
        # Rounding noise of the sums must not be amplified to a full step.
        projected = spread.sign() * (spread.abs() > 1e-5 * epsilon)
        projected = (self.beta * step.size if self.gamma is None else self.gamma) * projected
        points = step.ball.project(points + move + projected, step.clean)
        return points, total + projected if self.feedback else total

    def spread(self, values: Tensor) -> Tensor:
        """Return W * values, zero padded, (B, C, H, W)."""
        channels = values.shape[1]
        weights = self.weights().to(values).expand(channels, 1, self.kernel, self.kernel)
        return F.conv2d(values, weights, padding=self.kernel // 2, groups=channels)

    def weights(self) -> Tensor:
        """Return W, (kernel, kernel): uniform, zero in the centre, sum one."""
        size = self.kernel
        weights = torch.full((size, size), 1.0 / (size * size - 1), dtype=torch.float64)
        weights[size // 2, size // 2] = 0.0
        return weights
