"""GhostNet 1.0 (Han 2020) as FaceX-Zoo has it for 112 x 112: the stem keeps the size."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gauntlet.pipeline.models.architectures.faces.units import Gate, conv, tail

_Row = tuple[int, int, int, bool, int]
"""Kernel, hidden channels, channels out, whether gated, stride."""
_STAGES: tuple[tuple[_Row, ...], ...] = (
    ((3, 16, 16, False, 1),),
    ((3, 48, 24, False, 2),),
    ((3, 72, 24, False, 1),),
    ((5, 72, 40, True, 2),),
    ((5, 120, 40, True, 1),),
    ((3, 240, 80, False, 2),),
    (
        (3, 200, 80, False, 1), (3, 184, 80, False, 1), (3, 184, 80, False, 1),
        (3, 480, 112, True, 1), (3, 672, 112, True, 1),
    ),
    ((5, 672, 160, True, 2),),
    (
        (5, 960, 160, False, 1), (5, 960, 160, True, 1), (5, 960, 160, False, 1),
        (5, 960, 160, True, 1),
    ),
)  # fmt: skip


def _reduced(hidden: int) -> int:
    """Return a quarter, rounded to a multiple of 4 and not below 0.9 of itself."""
    quarter = hidden / 4
    rounded = max(4, int(quarter + 2) // 4 * 4)
    return rounded + 4 if rounded < 0.9 * quarter else rounded


class Ghost(nn.Module):
    """Half of the channels by a 1 x 1 convolution, the others by a depthwise one from these."""

    def __init__(self, width: int, out: int, active: bool) -> None:
        super().__init__()
        half = -(-out // 2)

        def ending() -> list[nn.Module]:
            return [nn.BatchNorm2d(half), *([nn.ReLU()] if active else [])]

        self.primary_conv = nn.Sequential(conv(width, half), *ending())
        self.cheap_operation = nn.Sequential(conv(half, half, 3, groups=half), *ending())

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, out, H, W)."""
        primary = self.primary_conv(features)
        return torch.cat((primary, self.cheap_operation(primary)), 1)


class Block(nn.Module):
    """Two ghost modules with a strided convolution and a gate between, and a shortcut."""

    def __init__(self, width: int, row: _Row) -> None:
        super().__init__()
        kernel, hidden, out, gated, stride = row
        self.ghost1 = Ghost(width, hidden, active=True)
        self.conv_dw: nn.Module = nn.Identity()
        self.bn_dw: nn.Module = nn.Identity()
        if stride == 2:
            self.conv_dw = conv(hidden, hidden, kernel, 2, hidden)
            self.bn_dw = nn.BatchNorm2d(hidden)
        self.se: nn.Module = nn.Identity()
        if gated:
            self.se = Gate(hidden, _reduced(hidden), outer=nn.Hardsigmoid())
        self.ghost2 = Ghost(hidden, out, active=False)
        self.shortcut: nn.Module = nn.Identity()
        if width != out or stride == 2:
            self.shortcut = nn.Sequential(
                conv(width, width, kernel, stride, width),
                nn.BatchNorm2d(width),
                conv(width, out),
                nn.BatchNorm2d(out),
            )

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, out, H / stride, W / stride)."""
        branch = self.se(self.bn_dw(self.conv_dw(self.ghost1(features))))
        output: Tensor = self.ghost2(branch) + self.shortcut(features)
        return output


class Last(nn.Module):
    """1 x 1 convolution, batch norm and ReLU."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.conv = conv(width, out)
        self.bn1 = nn.BatchNorm2d(out)
        self.relu = nn.ReLU()

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, out, H, W)."""
        output: Tensor = self.relu(self.bn1(self.conv(features)))
        return output


class GhostNet(nn.Module):
    """Embeddings of 512 numbers, not normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem = conv(3, 16, 3)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU()
        width = 16
        stages = []
        for rows in _STAGES:
            stage = nn.Sequential()
            for row in rows:
                stage.append(Block(width, row))
                width = row[2]
            stages.append(stage)
        self.blocks = nn.Sequential(*stages, nn.Sequential(Last(width, 960)))
        self.output_layer = tail(960)

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings, (B, 512), of normalised images (B, 3, 112, 112)."""
        features = self.blocks(self.relu(self.bn1(self.conv_stem(images))))
        embedding: Tensor = self.output_layer(features)
        return embedding
