"""What a surgery is: another way through a surrogate's graph."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from torch import nn

from gauntlet.pipeline.attacks.part import Part, Place


class Surgery(Part):
    """Changes how a surrogate computes or back-propagates, by rewriting its graph."""

    place: ClassVar[Place] = Place.SURGERY
    order: ClassVar[int] = 0
    """Surgeries are done in ascending order."""

    @property
    def randomised(self) -> bool:
        """Whether two forward passes of one image differ; see `pipeline.models.streams`."""
        return False

    @property
    def linear(self) -> bool:
        """Whether what goes back is linear in the derivative of the outputs, as the chain rule."""
        return True

    @abstractmethod
    def rewrite(self, network: nn.Module) -> nn.Module:
        """Return a new network that shares the parameters; the argument stays as it is.

        Args:
            network: takes preprocessed images; perhaps rewritten before.

        Raises:
            ValueError: when the network cannot be traced, or has nothing to rewrite.
        """
