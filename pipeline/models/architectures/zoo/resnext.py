"""Bottlenecks with grouped 3 x 3 convolutions (Xie 2017)."""

from __future__ import annotations

from torch import Tensor, nn

from gauntlet.pipeline.models.architectures.zoo.blocks import pooled_embedding, unit


class Block(nn.Module):
    """1 x 1, 3 x 3 in ``groups`` groups, 1 x 1, and a shortcut."""

    def __init__(self, width: int, hidden: int, out: int, stride: int, groups: int = 4) -> None:
        super().__init__()
        self.reduce = unit(width, hidden, 1)
        self.grouped = unit(hidden, hidden, 3, stride, groups)
        self.expand = unit(hidden, out, 1, activation=None)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or width != out:
            self.shortcut = unit(width, out, 1, stride, activation=None)
        self.relu = nn.ReLU()

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, out, H / stride, W / stride)."""
        branch = self.expand(self.grouped(self.reduce(features)))
        output: Tensor = self.relu(branch + self.shortcut(features))
        return output


class ResNeXt(nn.Module):
    """A stem that shrinks four times, and six bottlenecks."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(unit(3, 16, stride=2), unit(16, 40, stride=2))
        self.blocks = nn.Sequential(
            Block(40, 40, 56, 1),
            Block(56, 64, 96, 2),
            Block(96, 64, 96, 1),
            Block(96, 64, 96, 1),
            Block(96, 96, 160, 2),
            Block(160, 96, 160, 1),
        )
        self.embedding = pooled_embedding(160)

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings, (B, 128), of normalised images (B, 3, 48, 48)."""
        embedding: Tensor = self.embedding(self.blocks(self.stem(images)))
        return embedding
