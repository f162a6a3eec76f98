"""Random resizing and padding (Xie 2018)."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor

from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.models.defences.defence import register
from gauntlet.pipeline.models.defences.first_three import OneOfThree
from gauntlet.pipeline.models.resample import random_resize_pad_matrix
from gauntlet.pipeline.spec import Probability


@register
class ResizePad(OneOfThree):
    """Shrinks each image to a random size and pads it with zeros to its old one, anywhere.

    The share of both sides is uniform over the whole sizes from `low` H to H; bilinear. One draw
    per example, from its own stream, so that the batch it travels in changes nothing. It is linear
    in the image, A_v x A_h^T, and differentiable.
    """

    randomised: ClassVar[bool] = True

    kind: Literal["resize-pad"]
    """Which transform."""
    low: Probability = 0.9
    """Smallest side of the shrunk image, as a share of the input's side."""

    def __call__(self, images: Tensor, draws: Draws | None = None) -> Tensor:
        """Return the shrunk and padded images.

        Raises:
            ValueError: without one stream of draws per image.
        """
        if draws is None or len(draws) != len(images):
            found = "none" if draws is None else f"{len(draws)} streams"
            raise ValueError(
                f"resize-pad is random: it needs draws keyed by example for {len(images)} images, "
                f"got {found}"
            )
        vertical, horizontal = (
            random_resize_pad_matrix(
                draws, "defence/resize-pad", axis, side, self.low, 1.0, "bilinear",
                images.dtype, images.device,
            )
            for axis, side in zip("vh", images.shape[2:], strict=True)
        )  # fmt: skip
        return vertical[:, None] @ images @ horizontal[:, None].mT
