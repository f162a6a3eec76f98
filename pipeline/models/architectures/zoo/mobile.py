"""Inverted residuals and a global depthwise convolution, as MobileFaceNet (Chen 2018) has them.

With ReLU6, as in the inverted residual's paper (Sandler 2018).
"""

from __future__ import annotations

from torch import Tensor, nn

from gauntlet.pipeline.models.architectures.zoo.blocks import EMBEDDING, relu6, unit


class Bottleneck(nn.Module):
    """1 x 1 up, 3 x 3 depthwise, 1 x 1 down without activation; the input added if it fits."""

    def __init__(self, width: int, hidden: int, out: int, stride: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            unit(width, hidden, 1, activation=relu6),
            unit(hidden, hidden, 3, stride, groups=hidden, activation=relu6),
            unit(hidden, out, 1, activation=None),
        )
        self.residual = stride == 1 and width == out

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, out, H / stride, W / stride)."""
        branch: Tensor = self.branch(features)
        return features + branch if self.residual else branch


class MobileFace(nn.Module):
    """Six bottlenecks; a depthwise convolution over the whole 6 x 6 map in place of pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            unit(3, 16, stride=2, activation=relu6), unit(16, 40, stride=2, activation=relu6)
        )
        self.blocks = nn.Sequential(
            Bottleneck(40, 64, 40, 1),
            Bottleneck(40, 128, 64, 2),
            Bottleneck(64, 128, 64, 1),
            Bottleneck(64, 128, 64, 1),
            Bottleneck(64, 128, 64, 1),
            Bottleneck(64, 128, 64, 1),
        )
        self.widen = unit(64, 256, 1, activation=relu6)
        whole = nn.Conv2d(256, 256, 6, groups=256, bias=False)
        self.gather = nn.Sequential(whole, nn.BatchNorm2d(256), nn.Flatten())
        self.embedding = nn.Sequential(
            nn.Linear(256, EMBEDDING, bias=False), nn.BatchNorm1d(EMBEDDING)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings, (B, 128), of normalised images (B, 3, 48, 48)."""
        features = self.widen(self.blocks(self.stem(images)))
        embedding: Tensor = self.embedding(self.gather(features))
        return embedding
