"""MBConv blocks with SiLU and squeeze and excitation (Tan 2019); the first two fused (Tan 2021)."""

from __future__ import annotations

from torch import Tensor, nn

from gauntlet.pipeline.models.architectures.zoo.blocks import (
    SqueezeExcite,
    pooled_embedding,
    silu,
    unit,
)


class FusedMBConv(nn.Module):
    """3 x 3 up and 1 x 1 down; the input added if it fits."""

    def __init__(self, width: int, hidden: int, out: int, stride: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            unit(width, hidden, 3, stride, activation=silu), unit(hidden, out, 1, activation=None)
        )
        self.residual = stride == 1 and width == out

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, out, H / stride, W / stride)."""
        branch: Tensor = self.branch(features)
        return features + branch if self.residual else branch


class MBConv(nn.Module):
    """1 x 1 up, depthwise, squeeze and excitation, 1 x 1 down; the input added if it fits."""

    def __init__(self, width: int, hidden: int, out: int, stride: int, kernel: int = 3) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            unit(width, hidden, 1, activation=silu),
            unit(hidden, hidden, kernel, stride, groups=hidden, activation=silu),
            SqueezeExcite(hidden, width // 4, silu),
            unit(hidden, out, 1, activation=None),
        )
        self.residual = stride == 1 and width == out

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, out, H / stride, W / stride)."""
        branch: Tensor = self.branch(features)
        return features + branch if self.residual else branch


class EfficientNet(nn.Module):
    """Two fused blocks on larger maps, five MBConv on 6 x 6 and 3 x 3 ones."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = unit(3, 16, stride=2, activation=silu)
        self.blocks = nn.Sequential(
            FusedMBConv(16, 40, 24, 2),
            FusedMBConv(24, 64, 24, 1),
            MBConv(24, 96, 48, 2),
            MBConv(48, 160, 48, 1),
            MBConv(48, 160, 48, 1, kernel=5),
            MBConv(48, 192, 80, 2),
            MBConv(80, 240, 80, 1),
        )
        self.widen = unit(80, 256, 1, activation=silu)
        self.embedding = pooled_embedding(256)

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings, (B, 128), of normalised images (B, 3, 48, 48)."""
        embedding: Tensor = self.embedding(self.widen(self.blocks(self.stem(images))))
        return embedding
