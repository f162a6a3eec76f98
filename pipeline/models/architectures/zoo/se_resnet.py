"""Residual blocks whose branch ends in squeeze and excitation (Hu 2018)."""

from __future__ import annotations

from torch import Tensor, nn

from gauntlet.pipeline.models.architectures.zoo.blocks import SqueezeExcite, flat_embedding, unit


class Block(nn.Module):
    """Two 3 x 3 convolutions, squeeze and excitation, and a shortcut that averages to shrink."""

    def __init__(self, width: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = unit(width, out, stride=stride)
        self.conv2 = unit(out, out, activation=None)
        self.excite = SqueezeExcite(out, out // 4)
        shrink = [nn.AvgPool2d(stride)] if stride != 1 else []
        project = [unit(width, out, 1, activation=None)] if width != out else []
        self.shortcut = nn.Sequential(*shrink, *project)
        self.relu = nn.ReLU()

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, out, H / stride, W / stride)."""
        branch = self.excite(self.conv2(self.conv1(features)))
        output: Tensor = self.relu(branch + self.shortcut(features))
        return output


class SEResNet(nn.Module):
    """A stem of two convolutions with stride 2, and four blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(unit(3, 16, stride=2), unit(16, 32, stride=2))
        self.blocks = nn.Sequential(
            Block(32, 32, 1),
            Block(32, 56, 2),
            Block(56, 56, 1),
            Block(56, 80, 2),
        )
        self.embedding = flat_embedding(80, 9)

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings, (B, 128), of normalised images (B, 3, 48, 48)."""
        embedding: Tensor = self.embedding(self.blocks(self.stem(images)))
        return embedding
