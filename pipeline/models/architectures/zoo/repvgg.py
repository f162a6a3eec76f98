"""RepVGG (Ding 2021) as it is trained: three branches, which are left apart."""

from __future__ import annotations

from torch import Tensor, nn

from gauntlet.pipeline.models.architectures.zoo.blocks import pooled_embedding, unit


class Block(nn.Module):
    """ReLU of the sum of 3 x 3, 1 x 1 and, where the shape stays, identity, each batch-normed."""

    def __init__(self, width: int, out: int, stride: int = 1) -> None:
        super().__init__()
        self.wide = unit(width, out, 3, stride, activation=None)
        # Every other point beforehand: the weight's gradient of a strided 1 x 1 convolution of few
        # channels corrupts memory in torch 2.14 (channels_last, processors without AVX-512).
        self.stride = stride
        self.point = unit(width, out, 1, activation=None)
        self.same = nn.BatchNorm2d(width) if stride == 1 and width == out else None
        self.relu = nn.ReLU()

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, out, H / stride, W / stride)."""
        total = self.wide(features) + self.point(features[:, :, :: self.stride, :: self.stride])
        if self.same is not None:
            total = total + self.same(features)
        output: Tensor = self.relu(total)
        return output


class RepVGG(nn.Module):
    """Seven blocks; strides shrink, nothing is pooled before the end."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            Block(3, 20, 2),
            Block(20, 36, 2),
            Block(36, 36),
            Block(36, 64, 2),
            Block(64, 64),
            Block(64, 64),
            Block(64, 104, 2),
        )
        self.embedding = pooled_embedding(104)

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings, (B, 128), of normalised images (B, 3, 48, 48)."""
        embedding: Tensor = self.embedding(self.blocks(images))
        return embedding
