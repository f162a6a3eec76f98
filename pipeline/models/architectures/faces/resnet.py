"""ResNet of bottlenecks at a stride of 32, as face.evoLVe and RobFR have it (He 2016)."""

from __future__ import annotations

from torch import Tensor, nn

from gauntlet.pipeline.models.architectures.faces.units import EMBEDDING, conv

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
"""Blocks of each stage by depth."""


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolution, a shortcut, and ReLU.

    Args:
        width: channels in.
        inner: channels between.
        out: channels out.
        stride: of the 3 x 3 convolution.
    """

    def __init__(self, width: int, inner: int, out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = conv(width, inner)
        self.bn1 = nn.BatchNorm2d(inner)
        self.relu1 = nn.ReLU()
        self.conv2 = conv(inner, inner, 3, stride)
        self.bn2 = nn.BatchNorm2d(inner)
        self.relu2 = nn.ReLU()
        self.conv3 = conv(inner, out)
        self.bn3 = nn.BatchNorm2d(out)
        self.downsample: nn.Module | None = None
        if width != out or stride != 1:
            self.downsample = nn.Sequential(conv(width, out, 1, stride), nn.BatchNorm2d(out))
        self.relu3 = nn.ReLU()

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, out, H / stride, W / stride)."""
        branch = self.relu1(self.bn1(self.conv1(features)))
        branch = self.relu2(self.bn2(self.conv2(branch)))
        branch = self.bn3(self.conv3(branch))
        shortcut = features if self.downsample is None else self.downsample(features)
        output: Tensor = self.relu3(branch + shortcut)
        return output


class ResNet(nn.Module):
    """Faces of 112 x 112 to embeddings of 512 numbers, not normalised.

    Args:
        depth: 50, 101 or 152.
    """

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        width = 64
        for stage, blocks in enumerate(BLOCKS[depth]):
            inner, out = 64 << stage, 256 << stage
            made = [Bottleneck(width, inner, out, 1 if stage == 0 else 2)]
            made += [Bottleneck(out, inner, out) for _ in range(blocks - 1)]
            self.add_module(f"layer{stage + 1}", nn.Sequential(*made))
            width = out
        self.bn_o1 = nn.BatchNorm2d(2048)
        self.dropout = nn.Dropout()
        self.fc = nn.Linear(2048 * 4 * 4, EMBEDDING)
        self.bn_o2 = nn.BatchNorm1d(EMBEDDING)

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings, (B, 512), of normalised images (B, 3, 112, 112)."""
        features = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        for stage in range(1, 5):
            features = getattr(self, f"layer{stage}")(features)
        features = self.dropout(self.bn_o1(features)).flatten(1)
        embedding: Tensor = self.bn_o2(self.fc(features))
        return embedding
