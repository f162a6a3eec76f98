"""The projected step: how far an attack moves, and where it may go."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from gauntlet.pipeline.attacks.ball import Ball
from gauntlet.pipeline.norms import Normaliser, by_rows, normalise


@dataclass(frozen=True)
class Step:
    """How far and under which norm an attack moves in one update, and where it may go.

    Attributes:
        ball: the allowed points.
        clean: centre of the ball, (B, 3, H, W).
        size: alpha, in [0, 1] units.
        normalise: what stands before alpha: the sign, or a norm that the direction is divided by.
    """

    ball: Ball
    clean: Tensor
    size: float
    normalise: Normaliser

    def take(self, points: Tensor, direction: Tensor, size: float | None = None) -> Tensor:
        """Return P(x + alpha normalise(d)), (B, 3, H, W)."""
        size = self.size if size is None else size

        def taken(points: Tensor, direction: Tensor, clean: Tensor) -> Tensor:
            return self.ball.project(points + size * normalise(direction, self.normalise), clean)

        return by_rows(taken, points, direction, self.clean)
