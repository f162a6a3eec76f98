"""The inner maximum of adversarial training, found by the attacks' own loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gauntlet.pipeline.attacks.ball import Ball
from gauntlet.pipeline.attacks.loop import run
from gauntlet.pipeline.attacks.messages import Answer, Question, Setting
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.attacks.surrogate import Known
from gauntlet.pipeline.batch import Batch, Goal
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
    in an l2 ball.

    Args:
        objective: differentiable.
        images: centres, (B, 3, H, W) in [0, 1].
        ball: the allowed points.
        steps: how many steps.
        step_size: length of a step; 2.5 radii shared among the steps by default.
        draws: one stream per image, for the start.
    """
    attack = Attack(
        norm=ball.norm,
        epsilon=ball.epsilon,
        epsilon_unit="abs" if ball.norm == "l2" else None,
        steps=steps,
        step_size=_REACH * ball.epsilon / max(steps, 1) if step_size is None else step_size,
        normalise="sign" if ball.norm == "linf" else "l2",
    )
    # The loop asks for a goal; what is raised is the objective's business.
    ids = tuple(map(str, range(len(images))))
    nobody = torch.zeros(len(images), dtype=torch.int64, device=images.device)
    batch = Batch(ids, images, Goal.UNTARGETED, labels=nobody)
    begin = ball.random_point(images, draws)
    return run(attack, batch, _OneObjective(objective), quantize=False, begin=begin).images


_GRADIENTS = "an objective has gradients, which are all that `ens` asks for"


@dataclass(frozen=True)
class _OneObjective:
    """Answers with an objective whose network is in training, instead of with a frozen model."""

    objective: Objective
    models = ("in training",)

    def gradients(self, setting: Setting, questions: Sequence[Question]) -> list[Answer]:
        return [self._answer(question.points) for question in questions]

    def _answer(self, points: Tensor) -> Answer:
        points = points.detach().requires_grad_()
        with torch.enable_grad():
            values = self.objective(points)
            (gradient,) = torch.autograd.grad(values.sum(), points)
        return Answer(values.detach(), gradient)

    def outputs(self, setting: Setting, questions: Sequence[Question]) -> list[Tensor]:
        raise TypeError(_GRADIENTS)

    def pullback(
        self, setting: Setting, questions: Sequence[Question], cotangents: Sequence[Tensor]
    ) -> list[Tensor]:
        raise TypeError(_GRADIENTS)

    def known(self, setting: Setting, model: int) -> Known:
        raise TypeError(_GRADIENTS)
