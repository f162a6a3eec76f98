"""EfficientNet-B0 (Tan 2019) as FaceX-Zoo has it for 112 x 112: the stem keeps the size."""

from __future__ import annotations

from torch import Tensor, nn

from gauntlet.pipeline.models.architectures.faces.units import conv, tail

_EPS = 0.001
_STAGES = (
    (3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3), (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4), (3, 1, 6, 320, 1),
)  # fmt: skip
"""Kernel, first stride, expansion, channels, count."""
_PADDING = {1: (0, 1, 0, 1), 3: (1, 2, 1, 2), 5: (0, 1, 0, 1), 11: (2, 2, 2, 2)}
"""Of the strided blocks, by position: left, right, top, bottom. The authors fix it by sizes that
they reckon with a strided stem, so that it is not the same for all."""


class Block(nn.Module):
    """Expansion, depthwise convolution, squeeze and excitation, projection."""

    def __init__(
        self, width: int, out: int, kernel: int, stride: int, expansion: int, position: int
    ) -> None:
        super().__init__()
        hidden = width * expansion
        if expansion > 1:
            self._expand_conv = conv(width, hidden)
            self._bn0 = nn.BatchNorm2d(hidden, _EPS)
            self.swish0 = nn.SiLU()
        self.expands = expansion > 1
        self.pad = nn.ZeroPad2d(_PADDING.get(position, ((kernel - 1) // 2,) * 4))
        self._depthwise_conv = nn.Conv2d(hidden, hidden, kernel, stride, groups=hidden, bias=False)
        self._bn1 = nn.BatchNorm2d(hidden, _EPS)
        self.swish1 = nn.SiLU()
        self.mean = nn.AdaptiveAvgPool2d(1)
        self._se_reduce = conv(hidden, width // 4, bias=True)
        self.swish2 = nn.SiLU()
        self._se_expand = conv(width // 4, hidden, bias=True)
        self.sigmoid = nn.Sigmoid()
        self._project_conv = conv(hidden, out)
        self._bn2 = nn.BatchNorm2d(out, _EPS)
        self.residual = stride == 1 and width == out

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, out, H / stride, W / stride)."""
        inner = features
        if self.expands:
            inner = self.swish0(self._bn0(self._expand_conv(inner)))
        inner = self.swish1(self._bn1(self._depthwise_conv(self.pad(inner))))
        weights = self._se_expand(self.swish2(self._se_reduce(self.mean(inner))))
        inner = inner * self.sigmoid(weights)
        branch: Tensor = self._bn2(self._project_conv(inner))
        return features + branch if self.residual else branch


class EfficientNetB0(nn.Module):
    """Embeddings of 512 numbers, not normalised; files hold an unused classifier `_fc`, too."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = conv(3, 32, 3)
        self._bn0 = nn.BatchNorm2d(32, _EPS)
        self.swish0 = nn.SiLU()
        width = 32
        blocks: list[Block] = []
        for kernel, first, expansion, out, count in _STAGES:
            for block in range(count):
                stride = first if block == 0 else 1
                blocks.append(Block(width, out, kernel, stride, expansion, len(blocks)))
                width = out
        self._blocks = nn.Sequential(*blocks)
        self._conv_head = conv(width, 1280)
        self._bn1 = nn.BatchNorm2d(1280, _EPS)
        self.swish1 = nn.SiLU()
        self.output_layer = tail(1280)

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings, (B, 512), of normalised images (B, 3, 112, 112)."""
        features = self._blocks(self.swish0(self._bn0(self._conv_stem(images))))
        features = self.swish1(self._bn1(self._conv_head(features)))
        embedding: Tensor = self.output_layer(features)
        return embedding
