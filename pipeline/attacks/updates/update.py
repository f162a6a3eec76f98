"""What an update is, and the plain one: from direction to step (specification 2.1)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from gauntlet.pipeline.attacks.part import Part, Place, register
from gauntlet.pipeline.attacks.step import Step


class Update(Part):
    """I-FGSM, BIM: x <- P(x + alpha normalise(d)), without memory.

    Other updates derive from it. Their memory is a tensor that the loop keeps for them.
    """

    place: ClassVar[Place] = Place.UPDATE
    token: ClassVar[str] = "i"
    random = False  # no update is handed any draws
    paper: ClassVar[str] = "Kurakin 2017"

    def query_point(self, points: Tensor, memory: Tensor | None, step: Step) -> Tensor:
        """Return where the surrogates are asked, (B, 3, H, W)."""
        return points

    def remember(self, direction: Tensor, memory: Tensor | None) -> Tensor:
        """Return what the step follows, (B, 3, H, W); the loop hands it back as ``memory``."""
        return direction

    def advance(
        self, points: Tensor, direction: Tensor, memory: Tensor | None, step: Step
    ) -> tuple[Tensor, Tensor | None]:
        """Return the next points and the next memory."""
        memory = self.remember(direction, memory)
        return step.take(points, memory), memory

    def unreached(self, points: Tensor, step: Step) -> Tensor | None:
        """Return which examples have no valid result after the last update, bool (B,)."""
        return None


register(Update)
