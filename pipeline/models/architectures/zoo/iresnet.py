"""Improved residual units with PReLU (Deng 2019, section 3.1), pooled by spatial attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gauntlet.pipeline.models.architectures.zoo.blocks import EMBEDDING, prelu, unit


class Unit(nn.Module):
    """Norm, 3 x 3, norm, PReLU, 3 x 3 with the stride, norm; nothing after the addition."""

    def __init__(self, width: int, out: int, stride: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.BatchNorm2d(width),
            unit(width, out, activation=prelu),
            unit(out, out, stride=stride, activation=None),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or width != out:
            self.shortcut = unit(width, out, 1, stride, activation=None)

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, out, H / stride, W / stride)."""
        output: Tensor = self.branch(features) + self.shortcut(features)
        return output


class AttentionPool(nn.Module):
    """Mean of the cells weighted by a softmax over them, one learned map of scores a group.

    Args:
        width: channels; a multiple of ``groups``.
        groups: runs of channels that share a map of weights.
    """

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.score = nn.Conv2d(width, groups, 1)
        self.softmax = nn.Softmax(-1)
        self.width, self.groups = width, groups

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, width)."""
        weights = self.softmax(self.score(features).flatten(2)).unsqueeze(2)
        values = torch.unflatten(features.flatten(2), 1, (self.groups, self.width // self.groups))
        pooled: Tensor = (values * weights).sum(-1).flatten(1)
        return pooled


class IResNet(nn.Module):
    """Three units on 12 x 12 and 6 x 6 maps, eight groups of attention over the last one."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            unit(3, 16, stride=2, activation=prelu), unit(16, 32, stride=2, activation=prelu)
        )
        self.units = nn.Sequential(
            Unit(32, 40, 2), Unit(40, 72, 1), Unit(72, 72, 1), nn.BatchNorm2d(72)
        )
        self.pool = AttentionPool(72, 8)
        self.embedding = nn.Sequential(
            nn.Linear(72, EMBEDDING, bias=False), nn.BatchNorm1d(EMBEDDING)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings, (B, 128), of normalised images (B, 3, 48, 48)."""
        embedding: Tensor = self.embedding(self.pool(self.units(self.stem(images))))
        return embedding
