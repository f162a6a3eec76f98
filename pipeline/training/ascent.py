"""The inner maximum of adversarial training: the worst point of a ball, found by ascent."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gauntlet.pipeline.attacks.ball import Ball
from gauntlet.pipeline.attacks.step import Step
from gauntlet.pipeline.draws import Draws

Objective = Callable[[Tensor], Tensor]
"""Images (B, ...) to what is raised, (B,); each row its image's own."""

_REACH = 2.5
"""Total reach of the default steps, in radii, so that the whole ball is in reach."""


def ascend(
    objective: Objective,
    images: Tensor,
    ball: Ball,
    steps: int,
    step_size: float | None,
    draws: Draws,
) -> Tensor:
    """Return points of the ball where an objective is greater (Madry 2018, eq. 2.1).

    Projected gradient ascent from a random point: signed steps in an linf ball, steps of one length
    in an l2 ball. The attacks' own loop asks models that are frozen, for rules that combine them;
    here the network is the one in training, and its caller says what is raised.

    Args:
        objective: differentiable.
        images: centres, (B, 3, H, W) in [0, 1].
        ball: the allowed points.
        steps: how many steps.
        step_size: length of a step; 2.5 radii shared among the steps by default.
        draws: one stream per image, for the start.
    """
    if step_size is None:
        step_size = _REACH * ball.epsilon / max(steps, 1)
    step = Step(ball, images, step_size, "sign" if ball.norm == "linf" else "l2")
    points = ball.random_point(images, draws)
    for _ in range(steps):
        points = points.detach().requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(objective(points).sum(), points)
        points = step.take(points.detach(), gradient)
    return points.detach()
