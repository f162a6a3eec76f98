"""The sheet that a face is painted on, and the shapes that it is made of.

Every operation on pixels is one IEEE addition, product, quotient, root, minimum or maximum: these
are exactly rounded, so that neither the batch, nor the device, nor the processor changes a byte.
For the same reason edges are linear ramps one pixel wide, and angles are given by their tangents.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gauntlet.pipeline.data.rendered.dice import Dice


@dataclass(frozen=True)
class Face:
    """B faces that are being painted.

    The image is two units wide and high; x points right, y down. Distances are positive inside.

    Attributes:
        image: what is painted so far, (B, 3, H, W), changed in place.
        x: first coordinate of every pixel in the upright, centred head, (B, H, W).
        y: the second one.
        u: first coordinate on the front of the head, which a turned head shows displaced.
        v: the second one.
        pixel: width of a pixel in units of the head, (B, 1, 1).
        who: traits of the people.
        now: circumstances of the photographs.
    """

    image: Tensor
    x: Tensor
    y: Tensor
    u: Tensor
    v: Tensor
    pixel: Tensor
    who: Dice
    now: Dice

    def band(self, top: float, bottom: float) -> Face:
        """Return the rows between two heights in the image: small parts need no others."""
        height = self.x.shape[1]
        rows = slice(
            max(0, int((top + 1.0) / 2.0 * height)), min(height, int((bottom + 1.0) / 2.0 * height))
        )
        return replace(
            self,
            image=self.image[:, :, rows],
            x=self.x[:, rows],
            y=self.y[:, rows],
            u=self.u[:, rows],
            v=self.v[:, rows],
        )

    def inside(self, distance: Tensor, softness: float = 1.0) -> Tensor:
        """Return how much of each pixel a shape covers, (B, H, W) in [0, 1].

        Args:
            distance: signed distance from the shape's edge, (B, H, W).
            softness: width of the edge in pixels.
        """
        return (distance / (self.pixel * softness)).add_(0.5).clamp_(0.0, 1.0)

    def paint(self, cover: Tensor, colour: Tensor) -> None:
        """Lay a colour, (B, 3, 1, 1) or (B, 3, H, W), over the pixels that a shape covers."""
        self.image.add_((colour - self.image).mul_(cover[:, None]))


def fade(distance: Tensor, width: Tensor | float) -> Tensor:
    """Return a soft blob: 1 where the squared distance is 0, 0 from ``width`` on."""
    return (1.0 - distance / (width * width)).clamp_(min=0.0).square()


def bump(value: Tensor, centre: float, width: float) -> Tensor:
    """Return a smooth bump of height 1 around ``centre``, 0 from ``width`` away."""
    return fade((value - centre).square(), width)


def oval(x: Tensor, y: Tensor, width: Tensor, height: Tensor) -> Tensor:
    """Return about the signed distance to an ellipse with the given half-axes."""
    reach = ((x / width).square() + (y / height).square()).sqrt()
    return (1.0 - reach) * torch.minimum(width, height)


def box(x: Tensor, y: Tensor, width: Tensor, height: Tensor, rounding: Tensor) -> Tensor:
    """Return the signed distance to a rounded rectangle with the given half-sides."""
    across, down = x.abs() - (width - rounding), y.abs() - (height - rounding)
    outside = (across.clamp(min=0.0).square() + down.clamp(min=0.0).square()).sqrt()
    return rounding - outside - torch.maximum(across, down).clamp(max=0.0)


def lens(x: Tensor, y: Tensor, width: Tensor, up: Tensor, down: Tensor) -> Tensor:
    """Return about the signed distance to the region between two parabolas with common ends."""
    arch = 1.0 - (x / width).square()
    return torch.minimum(up * arch + y, down * arch - y)


def stripes(value: Tensor) -> Tensor:
    """Return a triangle wave of period 1 between -1 and 1."""
    return ((value - value.floor()) - 0.5).abs() * 4.0 - 1.0
