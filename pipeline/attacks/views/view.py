"""What a view is: a change of what a surrogate sees."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from torch import Tensor

from gauntlet.pipeline.attacks.part import Part, Place
from gauntlet.pipeline.draws import Draws


class View(Part):
    """Changes the inputs that a model sees; the gradient flows through it."""

    place: ClassVar[Place] = Place.VIEW
    order: ClassVar[int] = 0
    """Views act in ascending order: noise, then scaling, then geometry."""

    @property
    def copies(self) -> int:
        """How many views of each image there are; their gradients are averaged."""
        return 1

    @property
    def shared_draw(self) -> bool:
        """Whether all surrogates see the same random draw of a step."""
        return False

    @abstractmethod
    def apply(self, images: Tensor, copy: tuple[int, ...], draws: Draws) -> Tensor:
        """Return one view of the images.

        Args:
            images: (B, 3, H, W) in [0, 1].
            copy: index of the copy in each view up to and including this one.
            draws: one random stream per row; the copy belongs into every draw's purpose.
        """
