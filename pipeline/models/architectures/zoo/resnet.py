"""Basic residual blocks (He 2016), projection shortcuts where the shape changes."""

from __future__ import annotations

from torch import Tensor, nn

from gauntlet.pipeline.models.architectures.zoo.blocks import pooled_embedding, unit


class Block(nn.Module):
    """Two 3 x 3 convolutions and a shortcut."""

    def __init__(self, width: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = unit(width, out, stride=stride)
        self.conv2 = unit(out, out, activation=None)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or width != out:
            self.shortcut = unit(width, out, 1, stride, activation=None)
        self.relu = nn.ReLU()

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, out, H / stride, W / stride)."""
        output: Tensor = self.relu(self.conv2(self.conv1(features)) + self.shortcut(features))
        return output


class ResNet(nn.Module):
    """A stem that shrinks four times, and four blocks on 12 x 12, 6 x 6 and 3 x 3 maps."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(unit(3, 20, stride=2), nn.MaxPool2d(3, 2, 1))
        self.blocks = nn.Sequential(
            Block(20, 32, 1),
            Block(32, 64, 2),
            Block(64, 64, 1),
            Block(64, 96, 2),
        )
        self.embedding = pooled_embedding(96)

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings, (B, 128), of normalised images (B, 3, 48, 48)."""
        embedding: Tensor = self.embedding(self.blocks(self.stem(images)))
        return embedding
