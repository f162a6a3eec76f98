"""Residual inception modules (Szegedy 2017): branches of several reaches, added back scaled."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gauntlet.pipeline.models.architectures.zoo.blocks import pooled_embedding, unit

SCALE = 0.3
"""Factor of a module's branch before the addition (section 3.3 there: 0.1 to 0.3)."""


class Module(nn.Module):
    """Branches 1 x 1, 3 x 3 and two 3 x 3 side by side, joined by a 1 x 1 and added."""

    def __init__(self, width: int, narrow: int) -> None:
        super().__init__()
        self.point = unit(width, narrow, 1)
        self.near = nn.Sequential(unit(width, narrow, 1), unit(narrow, narrow))
        self.far = nn.Sequential(unit(width, narrow, 1), unit(narrow, narrow), unit(narrow, narrow))
        self.join = nn.Conv2d(3 * narrow, width, 1)
        self.relu = nn.ReLU()

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, width, H, W)."""
        branches = torch.cat((self.point(features), self.near(features), self.far(features)), 1)
        output: Tensor = self.relu(features + SCALE * self.join(branches))
        return output


class Reduction(nn.Module):
    """Halves the map: max pooling and a 3 x 3 with stride 2, side by side."""

    def __init__(self, width: int, new: int) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.conv = unit(width, new, stride=2)

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, width + new, H / 2, W / 2)."""
        return torch.cat((self.pool(features), self.conv(features)), 1)


class InceptionResNet(nn.Module):
    """A stem, and four modules with two reductions among them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(unit(3, 16, stride=2), unit(16, 40, stride=2))
        self.stages = nn.Sequential(
            Module(40, 16),
            Reduction(40, 48),
            Module(88, 28),
            Module(88, 28),
            Reduction(88, 64),
            Module(152, 40),
        )
        self.embedding = pooled_embedding(152)

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings, (B, 128), of normalised images (B, 3, 48, 48)."""
        embedding: Tensor = self.embedding(self.stages(self.stem(images)))
        return embedding
