"""LightCNN-29 (Wu 2018) as FaceX-Zoo has it for 112 x 112."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gauntlet.pipeline.models.architectures.faces.units import tail

_STAGES = ((1, 48, 96), (2, 96, 192), (3, 192, 128), (4, 128, 128))
"""Residual blocks of each stage, channels in, channels out."""


class MaxFeatureMap(nn.Module):
    """A convolution to twice the channels, and the maximum of the two halves."""

    def __init__(self, width: int, out: int, kernel: int) -> None:
        super().__init__()
        self.filter = nn.Conv2d(width, 2 * out, kernel, padding=kernel // 2)

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, out, H, W)."""
        first, second = self.filter(features).chunk(2, 1)
        return torch.maximum(first, second)


class Block(nn.Module):
    """The input plus two convolutions of it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = MaxFeatureMap(width, width, 3)
        self.conv2 = MaxFeatureMap(width, width, 3)

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape."""
        output: Tensor = features + self.conv2(self.conv1(features))
        return output


class Group(nn.Module):
    """A 1 x 1 and a 3 x 3 convolution."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.conv_a = MaxFeatureMap(width, width, 1)
        self.conv = MaxFeatureMap(width, out, 3)

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, out, H, W)."""
        output: Tensor = self.conv(self.conv_a(features))
        return output


class Pool(nn.Module):
    """Maximum plus mean of each 2 x 2."""

    def __init__(self) -> None:
        super().__init__()
        self.highest, self.mean = nn.MaxPool2d(2), nn.AvgPool2d(2)

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, C, H / 2, W / 2)."""
        output: Tensor = self.highest(features) + self.mean(features)
        return output


class LightCNN29(nn.Module):
    """Embeddings of 512 numbers, not normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = MaxFeatureMap(3, 48, 5)
        for stage, (count, width, out) in enumerate(_STAGES, 1):
            self.add_module(f"block{stage}", nn.Sequential(*(Block(width) for _ in range(count))))
            self.add_module(f"group{stage}", Group(width, out))
        self.pools = nn.ModuleList(Pool() for _ in range(4))
        self.output_layer = tail(128)

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings, (B, 512), of normalised images (B, 3, 112, 112)."""
        features = self.pools[0](self.conv1(images))
        for stage in range(1, len(_STAGES) + 1):
            features = getattr(self, f"group{stage}")(getattr(self, f"block{stage}")(features))
            if stage != 3:
                features = self.pools[min(stage, 3)](features)
        embedding: Tensor = self.output_layer(features)
        return embedding
