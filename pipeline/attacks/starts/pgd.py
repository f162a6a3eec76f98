"""PGD: a random start in the ball (specification 2.1)."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from gauntlet.pipeline.attacks.ball import Ball
from gauntlet.pipeline.attacks.part import Choice, register
from gauntlet.pipeline.attacks.starts.start import Start
from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.draws import Draws


@register
class RandomStart(Start):
    """PGD: the attack starts at a random point of the ball instead of at the clean image."""

    token = "pgd"
    paper = "Madry 2018"
    start: Literal["ball", "box", "sign"] = "ball"
    """`ball`: uniform in the linf ball; l2: a Gaussian direction of uniform radius. `box`, l2 only:
    a uniform image scaled to the sphere (official IR code). `sign`: all entries of equal size and
    random sign; with `steps: 0` the sign-noise floor of the tables."""

    def objection(self, choice: Choice, goal: Goal | None) -> str | None:
        """Refuse a start that the attack's norm does not have."""
        if self.start == "box" and choice.norm != "l2":
            return f"pgd: start 'box' is for the norm l2, not {choice.norm}"
        return None

    def point(self, clean: Tensor, ball: Ball, draws: Draws) -> Tensor:
        """Return random points of the ball, (B, 3, H, W)."""
        return ball.random_point(clean, draws, self.start)
