"""Channel split and shuffle (Ma 2018, figure 3 c and d)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gauntlet.pipeline.models.architectures.zoo.blocks import pooled_embedding, unit


class Shuffle(nn.Module):
    """Interleaves two halves of the channels, a1 b1 a2 b2 ..., so that the halves mix."""

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, C, H, W) with the channels in their new order."""
        return torch.unflatten(features, 1, (2, -1)).transpose(1, 2).flatten(1, 2)


def _branch(width: int, out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        unit(width, out, 1),
        unit(out, out, 3, stride, groups=out, activation=None),
        unit(out, out, 1),
    )


class Basic(nn.Module):
    """Leaves one half of the channels alone and convolves the other."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.kept = width // 2
        self.branch = _branch(self.kept, self.kept, 1)
        self.shuffle = Shuffle()

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, width, H, W)."""
        kept, changed = features[:, : self.kept], features[:, self.kept :]
        output: Tensor = self.shuffle(torch.cat((kept, self.branch(changed)), 1))
        return output


class Down(nn.Module):
    """Halves the map; both branches see all channels, and each makes half of the new ones."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.left = nn.Sequential(
            unit(width, width, 3, 2, groups=width, activation=None), unit(width, out // 2, 1)
        )
        self.right = _branch(width, out // 2, 2)
        self.shuffle = Shuffle()

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, out, H / 2, W / 2)."""
        output: Tensor = self.shuffle(torch.cat((self.left(features), self.right(features)), 1))
        return output


class ShuffleNet(nn.Module):
    """Stages of 2, 4 and 3 blocks on 12 x 12, 6 x 6 and 3 x 3 maps."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(unit(3, 20, stride=2), unit(20, 64, stride=2))
        self.stages = nn.Sequential(
            Basic(64),
            Basic(64),
            Down(64, 144),
            Basic(144),
            Basic(144),
            Basic(144),
            Down(144, 224),
            Basic(224),
            Basic(224),
        )
        self.embedding = pooled_embedding(224)

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings, (B, 128), of normalised images (B, 3, 48, 48)."""
        embedding: Tensor = self.embedding(self.stages(self.stem(images)))
        return embedding
