"""Densely connected layers (Huang 2017): each sees the maps of all before it in its stage."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gauntlet.pipeline.models.architectures.zoo.blocks import pooled_embedding, unit


class DenseLayer(nn.Module):
    """Norm, ReLU, 1 x 1, norm, ReLU, 3 x 3; ``growth`` new channels beside the old ones."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.reduce = unit(width, 2 * growth, 1)
        self.conv = nn.Conv2d(2 * growth, growth, 3, padding=1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, width + growth, H, W)."""
        new = self.conv(self.reduce(self.relu(self.norm(features))))
        return torch.cat((features, new), 1)


class Transition(nn.Module):
    """Norm, ReLU, 1 x 1 to ``out`` channels, mean over 2 x 2 cells."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.conv = nn.Conv2d(width, out, 1, bias=False)
        self.pool = nn.AvgPool2d(2)

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, out, H / 2, W / 2)."""
        output: Tensor = self.pool(self.conv(self.relu(self.norm(features))))
        return output


class DenseNet(nn.Module):
    """Stages of 3, 4 and 3 layers on 12 x 12, 6 x 6 and 3 x 3 maps, halved in between."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(unit(3, 20, stride=2), unit(20, 32, stride=2))
        stages: list[nn.Module] = []
        width = 32
        for layers, growth, out in ((3, 16, 56), (4, 24, 104), (3, 32, 0)):
            for _ in range(layers):
                stages.append(DenseLayer(width, growth))
                width += growth
            if out:
                stages.append(Transition(width, out))
                width = out
        self.stages = nn.Sequential(*stages)
        self.norm = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU())
        self.embedding = pooled_embedding(width)

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings, (B, 128), of normalised images (B, 3, 48, 48)."""
        embedding: Tensor = self.embedding(self.norm(self.stages(self.stem(images))))
        return embedding
