"""PGD: a random start in the ball (specification 2.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from gauntlet.pipeline.attacks.part import Part, Place, register

if TYPE_CHECKING:
    from gauntlet.pipeline.attacks.recipe import Attack
    from gauntlet.pipeline.batch import Goal


@register
class RandomStart(Part):
    """PGD: the attack starts at a random point of the ball instead of at the clean image."""

    place: ClassVar[Place] = Place.START
    token = "pgd"
    paper = "Madry 2018"
    start: Literal["ball", "box", "sign"] = "ball"
    """`ball`: uniform in the linf ball; l2: a Gaussian direction of uniform radius. `box`, l2 only:
    a uniform image scaled to the sphere (official IR code). `sign`: all entries of equal size and
    random sign; with `steps: 0` the sign-noise floor of the tables."""

    def objection(self, attack: Attack, goal: Goal | None) -> str | None:
        """Refuse a start that the attack's norm does not have."""
        if self.start == "box" and attack.norm != "l2":
            return f"pgd: start 'box' is for the norm l2, not {attack.norm}"
        return None
