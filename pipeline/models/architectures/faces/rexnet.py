"""ReXNet 1.0 without squeeze and excitation (Han 2021) as FaceX-Zoo has it for 112 x 112."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gauntlet.pipeline.models.architectures.faces.units import conv, tail

_WIDTHS = (16, 27, 38, 50, 61, 72, 84, 95, 106, 117, 128, 140, 151, 162, 174, 185)
_STRIDED = (1, 3, 5, 11)
"""Positions of the blocks that halve the map."""


class Block(nn.Module):
    """An inverted residual; the input is added to as many channels as it has."""

    def __init__(self, width: int, out: int, expansion: int, stride: int) -> None:
        super().__init__()
        hidden = width * expansion
        expand = [conv(width, hidden), nn.BatchNorm2d(hidden), nn.SiLU()]
        self.out = nn.Sequential(
            *(expand if expansion > 1 else []),
            conv(hidden, hidden, 3, stride, hidden),
            nn.BatchNorm2d(hidden),
            nn.ReLU6(),
            conv(hidden, out),
            nn.BatchNorm2d(out),
        )
        self.width = width
        self.residual = stride == 1 and width <= out

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, out, H / stride, W / stride)."""
        branch: Tensor = self.out(features)
        if not self.residual:
            return branch
        return torch.cat((branch[:, : self.width] + features, branch[:, self.width :]), 1)


class ReXNet(nn.Module):
    """Embeddings of 512 numbers, not normalised."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [conv(3, 32, 3), nn.BatchNorm2d(32), nn.SiLU()]
        width = 32
        for position, out in enumerate(_WIDTHS):
            expansion = 1 if position == 0 else 6
            layers.append(Block(width, out, expansion, 2 if position in _STRIDED else 1))
            width = out
        layers += [conv(width, 512), nn.BatchNorm2d(512), nn.SiLU()]
        self.features = nn.Sequential(*layers)
        self.output_layer = tail(512)

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings, (B, 512), of normalised images (B, 3, 112, 112)."""
        embedding: Tensor = self.output_layer(self.features(images))
        return embedding
