"""RobFR's MobileNets v1 and v2 with a global depthwise convolution, for 112 x 112."""

from __future__ import annotations

from torch import Tensor, nn

from gauntlet.pipeline.models.architectures.faces.units import EMBEDDING, conv

_V1 = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1), (512, 1),
    (512, 1), (512, 1), (1024, 2), (1024, 1),
)  # fmt: skip
"""Channels and stride of the separable convolutions (Howard 2017)."""
_V2 = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
    (6, 320, 1, 1),
)  # fmt: skip
"""Expansion, channels, count, first stride of the inverted residuals (Sandler 2018)."""


def global_depthwise(width: int, side: int) -> nn.Conv2d:
    """Return the convolution over the whole last map, without batch norm."""
    return nn.Conv2d(width, width, side, groups=width, bias=False)


def _last_side(stride: int) -> int:
    return 7 if stride == 1 else 4


class MobileNetV1(nn.Module):
    """Embeddings of 512 numbers, not normalised.

    Args:
        stride: of the first convolution.
    """

    def __init__(self, stride: int = 2) -> None:
        super().__init__()
        stages = [nn.Sequential(conv(3, 32, 3, stride), nn.BatchNorm2d(32), nn.ReLU())]
        width = 32
        for out, step in _V1:
            stages.append(
                nn.Sequential(
                    conv(width, width, 3, step, width),
                    nn.BatchNorm2d(width),
                    nn.ReLU(),
                    conv(width, out),
                    nn.BatchNorm2d(out),
                    nn.ReLU(),
                )
            )
            width = out
        self.model = nn.Sequential(*stages)
        self.linear7 = global_depthwise(width, _last_side(stride))
        self.fc = nn.Linear(width, EMBEDDING)

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings, (B, 512), of normalised images (B, 3, 112, 112)."""
        embedding: Tensor = self.fc(self.linear7(self.model(images)).flatten(1))
        return embedding


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution and projection under the name `conv`."""

    def __init__(self, width: int, out: int, expansion: int, stride: int) -> None:
        super().__init__()
        hidden = width * expansion
        expand = [conv(width, hidden), nn.BatchNorm2d(hidden), nn.ReLU6()]
        self.conv = nn.Sequential(
            *(expand if expansion > 1 else []),
            conv(hidden, hidden, 3, stride, hidden),
            nn.BatchNorm2d(hidden),
            nn.ReLU6(),
            conv(hidden, out),
            nn.BatchNorm2d(out),
        )
        self.residual = stride == 1 and width == out

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, out, H / stride, W / stride)."""
        branch: Tensor = self.conv(features)
        return features + branch if self.residual else branch


class MobileNetV2(nn.Module):
    """Embeddings of 512 numbers, not normalised.

    Args:
        stride: of the first convolution.
    """

    def __init__(self, stride: int = 2) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Sequential(conv(3, 32, 3, stride), nn.BatchNorm2d(32), nn.ReLU6())
        ]
        width = 32
        for expansion, out, count, first in _V2:
            for block in range(count):
                step = first if block == 0 else 1
                layers.append(InvertedResidual(width, out, expansion, step))
                width = out
        layers.append(nn.Sequential(conv(width, 1280), nn.BatchNorm2d(1280), nn.ReLU6()))
        self.features = nn.Sequential(*layers)
        self.linear7 = global_depthwise(1280, _last_side(stride))
        self.classifier = nn.Sequential(nn.Dropout(), nn.Linear(1280, EMBEDDING))

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings, (B, 512), of normalised images (B, 3, 112, 112)."""
        embedding: Tensor = self.classifier(self.linear7(self.features(images)).flatten(1))
        return embedding
