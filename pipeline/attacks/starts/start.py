"""What a start is: where an attack begins."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from torch import Tensor

from gauntlet.pipeline.attacks.ball import Ball
from gauntlet.pipeline.attacks.part import Part, Place
from gauntlet.pipeline.draws import Draws


class Start(Part):
    """Where the attack begins instead of at the clean image."""

    place: ClassVar[Place] = Place.START

    @abstractmethod
    def point(self, clean: Tensor, ball: Ball, draws: Draws) -> Tensor:
        """Return the first points, inside the ball, (B, 3, H, W).

        Args:
            clean: the clean images, (B, 3, H, W).
            ball: the allowed points.
            draws: one random stream per example.
        """
