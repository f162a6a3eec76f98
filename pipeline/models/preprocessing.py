"""From a canonical image to what one network takes (trap 12: said once, applied once)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor
from torch.nn import functional as F

Triple = tuple[float, float, float]

LARGEST_STD = 2.0
"""A std above this is one of 0..255: images in [0, 1] have at most 0.5."""


@dataclass(frozen=True)
class Preprocessing:
    """A network's input convention; `str` says it in one line.

    Attributes:
        input_size: height and width; None takes images as they come.
        mean: subtracted per channel, in [0, 1] units and the network's channel order; None for a
            network that normalises by itself.
        std: divided by per channel.
        channels: channel order.
        resize: how an image of another size is brought to the input size; ``crop`` is the central
            part.
        mirror: whether the embedding of the mirrored image is added.
    """

    input_size: tuple[int, int] | None = None
    mean: Triple | None = None
    std: Triple | None = None
    channels: Literal["rgb", "bgr"] = "rgb"
    resize: Literal["bilinear", "bicubic", "crop"] = "bilinear"
    mirror: bool = False

    def __str__(self) -> str:
        if self.input_size is None:
            size = "any size"
        else:
            size = f"{self.input_size[0]}x{self.input_size[1]} ({self.resize})"
        if self.mean is None and self.std is None:
            scale = "no normalisation"
        else:
            mean, std = self.mean or (0.0,) * 3, self.std or (1.0,) * 3
            scale = f"mean {_numbers(mean)}, std {_numbers(std)}"
        mirror = ", plus mirror image" if self.mirror else ""
        return f"{size}, {self.channels}, {scale}{mirror}"

    def fit(self, images: Tensor) -> Tensor:
        """Return the images in the input size and channel order, (B, 3, *input_size).

        Shrinking is antialiased. Bicubic values may leave [0, 1] a little at sharp edges.

        Args:
            images: (B, 3, H, W), RGB.

        Raises:
            ValueError: when a crop is wanted of a smaller image.
        """
        size = self.input_size
        if size is not None and images.shape[2:] != size:
            if self.resize == "crop":
                images = _centre(images, size)
            else:
                images = F.interpolate(images, size, mode=self.resize, antialias=True)
        return images.flip(1) if self.channels == "bgr" else images


def _centre(images: Tensor, size: tuple[int, int]) -> Tensor:
    (height, width), (high, wide) = images.shape[2:], size
    if height < high or width < wide:
        raise ValueError(
            f"cannot crop {high}x{wide} from an image of {height}x{width}; "
            "set the model's resize to 'bilinear' or use larger images"
        )
    top, left = (height - high) // 2, (width - wide) // 2
    return images[:, :, top : top + high, left : left + wide]


def in_bytes(mean: Triple | None, std: Triple | None) -> tuple[str, str] | None:
    """Return which of a network's mean and std is in units of 0..255, and what to write instead.

    None when they may be meant as they stand. No image in [0, 1] has a mean above 1.
    """
    high = max(mean or (0.0,))
    field = "mean" if high > 1 else "std"
    if field == "std" and max(std or (0.0,)) <= LARGEST_STD:
        return None
    # A network that takes less than the mean of 0..255, and divides by nothing, has std 1 there.
    scaled = {"mean": mean, "std": std or ((1.0,) * 3 if field == "mean" else None)}
    wanted = ", ".join(
        f"{name}: [{', '.join(f'{value:g}/255' for value in values)}]"
        for name, values in scaled.items()
        if values is not None
    )
    return field, (
        f"{_numbers(scaled[field] or ())} looks like 0..255, and the images are in [0, 1]: the "
        f"network would see noise; write {wanted}"
    )


def _numbers(values: Sequence[float]) -> str:
    return "(" + ", ".join(f"{value:.4g}" for value in values) + ")"
