"""ResNet-20, 32, 44 and 56 for 32 x 32 images (He 2016, section 4.2), shortcuts of option A."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class Shortcut(nn.Module):
    """Every second row and column, and as many zero channels before as after; no parameters.

    (B, C, H, W) -> (B, C + 2 * extra, ceil(H / 2), ceil(W / 2)).
    """

    def __init__(self, extra: int) -> None:
        super().__init__()
        self.extra = extra

    def forward(self, images: Tensor) -> Tensor:
        """Return the shortcut's value."""
        return F.pad(images[:, :, ::2, ::2], (0, 0, 0, 0, self.extra, self.extra))


class Block(nn.Module):
    """Two 3 x 3 convolutions and a shortcut."""

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1:
            self.shortcut = Shortcut((width - width_in) // 2)
        self.relu2 = nn.ReLU()

    def forward(self, features: Tensor) -> Tensor:
        """Return the block's output, (B, width, H / stride, W / stride)."""
        inner = self.relu1(self.bn1(self.conv1(features)))
        inner = self.bn2(self.conv2(inner))
        output: Tensor = self.relu2(inner + self.shortcut(features))
        return output


class CifarResNet(nn.Module):
    """Three stages of ``blocks`` blocks with 16, 32 and 64 channels; 6 * blocks + 2 layers.

    Args:
        blocks: blocks of each stage.
        num_classes: logits at the output.
    """

    def __init__(self, blocks: int, num_classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU()
        self.layer1 = _stage(16, 16, blocks, stride=1)
        self.layer2 = _stage(16, 32, blocks, stride=2)
        self.layer3 = _stage(32, 64, blocks, stride=2)
        self.linear = nn.Linear(64, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, (B, num_classes), of normalised images (B, 3, 32, 32)."""
        features = self.relu(self.bn1(self.conv1(images)))
        features = self.layer3(self.layer2(self.layer1(features)))
        logits: Tensor = self.linear(features.mean((2, 3)))
        return logits


def _stage(width_in: int, width: int, blocks: int, stride: int) -> nn.Sequential:
    first = Block(width_in, width, stride)
    return nn.Sequential(first, *(Block(width, width, 1) for _ in range(blocks - 1)))
