"""Ghost modules (Han 2020): half of the maps are cheap depthwise images of the other half."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gauntlet.pipeline.models.architectures.zoo.blocks import SqueezeExcite, flat_embedding, unit


class Ghost(nn.Module):
    """A 1 x 1 makes half of the channels, a 3 x 3 depthwise of those the other half."""

    def __init__(self, width: int, out: int, active: bool) -> None:
        super().__init__()
        half = out // 2
        self.primary = unit(width, half, 1)
        self.cheap = unit(half, half, 3, groups=half)
        if not active:
            self.primary, self.cheap = self.primary[:2], self.cheap[:2]

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, out, H, W)."""
        primary = self.primary(features)
        return torch.cat((primary, self.cheap(primary)), 1)


class Bottleneck(nn.Module):
    """Ghost up, depthwise if it shrinks, squeeze and excitation, ghost down, shortcut."""

    def __init__(self, width: int, hidden: int, out: int, stride: int) -> None:
        super().__init__()
        shrink: list[nn.Module] = []
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1:
            shrink = [unit(hidden, hidden, 3, stride, groups=hidden, activation=None)]
            self.shortcut = nn.Sequential(
                unit(width, width, 3, stride, groups=width, activation=None),
                unit(width, out, 1, activation=None),
            )
        self.branch = nn.Sequential(
            Ghost(width, hidden, active=True),
            *shrink,
            SqueezeExcite(hidden, hidden // 8),
            Ghost(hidden, out, active=False),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, out, H / stride, W / stride)."""
        output: Tensor = self.branch(features) + self.shortcut(features)
        return output


class GhostNet(nn.Module):
    """Six bottlenecks on 12 x 12, 6 x 6 and 3 x 3 maps."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(unit(3, 16, stride=2), unit(16, 40, stride=2))
        self.blocks = nn.Sequential(
            Bottleneck(40, 64, 40, 1),
            Bottleneck(40, 112, 72, 2),
            Bottleneck(72, 144, 72, 1),
            Bottleneck(72, 144, 72, 1),
            Bottleneck(72, 192, 112, 2),
            Bottleneck(112, 224, 112, 1),
        )
        self.embedding = flat_embedding(112, 9)

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings, (B, 128), of normalised images (B, 3, 48, 48)."""
        embedding: Tensor = self.embedding(self.blocks(self.stem(images)))
        return embedding
