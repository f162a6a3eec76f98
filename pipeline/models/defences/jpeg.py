"""JPEG compression."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torchvision.io import ImageReadMode, decode_jpeg, encode_jpeg

from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.models.defences.defence import Gradient, passed, register
from gauntlet.pipeline.models.defences.first_three import OneOfThree


@register
class Jpeg(OneOfThree):
    """Encodes and decodes each image, rounded to 8 bits, as a real JPEG (4:2:0 chroma)."""

    kind: Literal["jpeg"]
    """Which transform."""
    quality: int = Field(75, ge=1, le=100)
    """Quality of the encoder."""
    gradient: Gradient = "straight-through"
    """What a white-box gradient sees: the identity, or nothing at all."""

    def __call__(self, images: Tensor, draws: Draws | None = None) -> Tensor:
        """Return the decoded images."""
        pixels = (images.detach() * 255).round().clamp(0, 255).to("cpu", torch.uint8)
        files = [encode_jpeg(image, quality=self.quality) for image in pixels]
        decoded = [decode_jpeg(file, mode=ImageReadMode.RGB) for file in files]
        if not decoded:
            return images
        return passed(images, torch.stack(decoded).to(images) / 255, self.gradient)
