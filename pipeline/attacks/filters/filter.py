"""What a gradient filter is."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from torch import Tensor

from gauntlet.pipeline.attacks.part import Part, Place


class Filter(Part):
    """Changes one model's gradient before it is combined with others."""

    place: ClassVar[Place] = Place.FILTER

    @abstractmethod
    def apply(self, gradient: Tensor) -> Tensor:
        """Return the filtered gradient, (B, 3, H, W)."""
