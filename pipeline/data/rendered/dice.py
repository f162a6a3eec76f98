"""Traits of people and circumstances of photographs, drawn by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gauntlet.pipeline.draws import Draws

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Dice:
    """Draws for B faces: one name always gives one value, whoever asks and how often.

    Attributes:
        draws: one stream per face.
        device: where values are wanted.
    """

    draws: Draws
    device: torch.device

    def between(self, name: str, low: float, high: float) -> Tensor:
        """Return numbers uniform in [low, high), (B, 1, 1)."""
        unit = self.draws.uniform(name).to(self.device)
        return (unit * (high - low) + low)[:, None, None]

    def chance(self, name: str, share: float) -> Tensor:
        """Return 1 for a share of the faces and 0 for the others, (B, 1, 1)."""
        return (self.between(name, 0.0, 1.0) < share).float()

    def level(self, name: str, share: float, low: float, high: float) -> Tensor:
        """Return a number uniform in [low, high) for a share of the faces, 0 for the others."""
        return self.chance(f"{name}?", share) * self.between(name, low, high)

    def colour(self, name: str, spread: float = 0.0, *, stops: Sequence[Colour]) -> Tensor:
        """Return a point on the path through some colours, each channel moved by +-spread.

        Returns:
            RGB, (B, 3, 1, 1).
        """
        place = self.between(name, 0.0, len(stops) - 1.0)[:, None]
        colour = torch.zeros(1, 3, 1, 1, device=self.device)
        for index, stop in enumerate(stops):
            weight = (1.0 - (place - index).abs()).clamp(min=0.0)
            colour = colour + weight * torch.tensor(stop, device=self.device)[:, None, None]
        shift = self.draws.uniform(f"{name}/shift", (3,)).to(self.device)
        return colour + ((shift * 2.0 - 1.0) * spread)[:, :, None, None]
