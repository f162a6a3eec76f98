"""RAP: reverse adversarial perturbation (specification 2.7)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

from gauntlet.pipeline.attacks.ball import Ball
from gauntlet.pipeline.attacks.part import register
from gauntlet.pipeline.attacks.points.point import Iteration, QueryPoint
from gauntlet.pipeline.spec import Quantity


@register
class ReversePerturbation(QueryPoint):
    """RAP: ask at x + n, where n undoes the attack as well as it can: flat maxima transfer better.

    n starts anywhere in the linf ball of radius epsilon_n around x, and takes ``inner`` steps that
    lower the task's own objective, without views: n <- n - step sign(d), clipped to that ball and
    to [0, 1]; d is what the attack's own rule (ens, rgea, ...) makes of the surrogates' answers.
    The attack's own step then starts from x. Not active during the first ``late_start`` updates.
    """

    token = "rap"
    paper = "Qin 2022"
    cost = "(inner + 1) k = 9k; k before the late start"
    epsilon_n: Annotated[Quantity, Field(ge=0, le=1)] = 16 / 255
    """Radius of the inner ball in [0, 1] units; 0 switches RAP off."""
    inner: int = Field(8, ge=0)
    """Inner steps."""
    step: Annotated[Quantity | None, Field(gt=0)] = None
    """Size of the inner steps in [0, 1] units; epsilon_n / inner by default."""
    normalise: Literal["sign", "none"] = "sign"
    """What stands before the inner step: the sign, or nothing."""
    late_start: int | None = Field(None, ge=0)
    """First updates without RAP; a quarter of all by default, as the paper's 100 of 400."""
    start_noise: bool = True
    """Start n at a uniform point of its ball, drawn anew in every update, and not at 0."""

    def move(self, points: Tensor, iteration: Iteration) -> Tensor:
        """Return x + n, (B, 3, H, W)."""
        late = iteration.steps // 4 if self.late_start is None else self.late_start
        if iteration.t < late or self.epsilon_n == 0:
            return points
        ball = Ball("linf", self.epsilon_n)
        moved = points
        if self.start_noise:
            moved = ball.random_point(points, iteration.draws("rap"))
        step = self.epsilon_n / max(1, self.inner) if self.step is None else self.step
        for i in range(self.inner):
            ask = iteration.plain(f"rap/{i}")
            direction = iteration.rule.direction(moved, ask, iteration.step).direction
            if self.normalise == "sign":
                direction = direction.sign()
            moved = ball.project(moved - step * direction, points)
        return moved
