"""MobileFaceNet (Chen 2018) for embeddings of 512 numbers, in TreB1eN's names and insightface's."""

from __future__ import annotations

from torch import Tensor, nn

from gauntlet.pipeline.models.architectures.faces.units import EMBEDDING, conv, of_length_one
from gauntlet.pipeline.models.architectures.mobilefacenet import ConvUnit


def _depthwise(width: int) -> nn.Conv2d:
    """Return the convolution over the whole 7 x 7 map."""
    return nn.Conv2d(width, width, 7, groups=width, bias=False)


class Unit(nn.Module):
    """An inverted residual in TreB1eN's names: `conv`, `conv_dw`, `project`."""

    def __init__(self, width: int, out: int, hidden: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = ConvUnit(conv(width, hidden), active=True)
        self.conv_dw = ConvUnit(conv(hidden, hidden, 3, stride, hidden), active=True)
        self.project = ConvUnit(conv(hidden, out), active=False)
        self.residual = stride == 1 and width == out

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, out, H / stride, W / stride)."""
        branch: Tensor = self.project(self.conv_dw(self.conv(features)))
        return features + branch if self.residual else branch


class Units(nn.Module):
    """Residual units one after the other, under the name `model`."""

    def __init__(self, width: int, hidden: int, count: int) -> None:
        super().__init__()
        self.model = nn.Sequential(*(Unit(width, width, hidden) for _ in range(count)))

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape."""
        output: Tensor = self.model(features)
        return output


class MobileFaceNet(nn.Module):
    """TreB1eN's names, which face.evoLVe, FaceX-Zoo and Adv-Makeup have, too; 112 x 112.

    Args:
        unit: whether embeddings are divided by their length.
    """

    def __init__(self, *, unit: bool = False) -> None:
        super().__init__()
        self.conv1 = ConvUnit(conv(3, 64, 3, 2), active=True)
        self.conv2_dw = ConvUnit(conv(64, 64, 3, groups=64), active=True)
        self.conv_23 = Unit(64, 64, 128, 2)
        self.conv_3 = Units(64, 128, 4)
        self.conv_34 = Unit(64, 128, 256, 2)
        self.conv_4 = Units(128, 256, 6)
        self.conv_45 = Unit(128, 128, 512, 2)
        self.conv_5 = Units(128, 256, 2)
        self.conv_6_sep = ConvUnit(conv(128, 512), active=True)
        self.conv_6_dw = ConvUnit(_depthwise(512), active=False)
        self.linear = nn.Linear(512, EMBEDDING, bias=False)
        self.bn = nn.BatchNorm1d(EMBEDDING)
        self.unit = unit

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings, (B, 512), of normalised images (B, 3, 112, 112)."""
        features = self.conv_23(self.conv2_dw(self.conv1(images)))
        features = self.conv_4(self.conv_34(self.conv_3(features)))
        features = self.conv_5(self.conv_45(features))
        features = self.conv_6_dw(self.conv_6_sep(features)).flatten(1)
        embedding: Tensor = self.bn(self.linear(features))
        return of_length_one(embedding) if self.unit else embedding


class Layers(nn.Module):
    """Modules one after the other, under the name `layers` as insightface has it.

    Args:
        modules: the layers.
        residual: whether the input is added.
    """

    def __init__(self, *modules: nn.Module, residual: bool = False) -> None:
        super().__init__()
        self.layers = nn.Sequential(*modules)
        self.residual = residual

    def forward(self, features: Tensor) -> Tensor:
        """Return the last layer's output, the input added where that is meant."""
        output: Tensor = self.layers(features)
        return features + output if self.residual else output


def _block(inner: nn.Conv2d) -> Layers:
    width = inner.out_channels
    return Layers(inner, nn.BatchNorm2d(width), nn.PReLU(width))


def _unit(width: int, out: int, hidden: int, stride: int = 1) -> Layers:
    return Layers(
        _block(conv(width, hidden)),
        _block(conv(hidden, hidden, 3, stride, hidden)),
        Layers(conv(hidden, out), nn.BatchNorm2d(out)),
        residual=stride == 1 and width == out,
    )


def _units(width: int, hidden: int, count: int) -> Layers:
    return Layers(*(_unit(width, width, hidden) for _ in range(count)))


class InsightMobileFaceNet(nn.Module):
    """insightface's `mbf`, 112 x 112; embeddings are not normalised.

    Args:
        scale: multiplies the channels between units, not those inside: 1 until July 2021, then 2;
            4 in the large form.
        blocks: units of the first stage (0: a grouped convolution instead) and of the others.
    """

    def __init__(self, scale: int = 2, blocks: tuple[int, int, int, int] = (0, 4, 6, 2)) -> None:
        super().__init__()
        narrow, wide = 64 * scale, 128 * scale
        # 64 groups whatever the width: depthwise at scale 1 only.
        first = _block(conv(narrow, narrow, 3, groups=64))
        self.layers = nn.Sequential(
            _block(conv(3, narrow, 3, 2)),
            _units(narrow, 128, blocks[0]) if blocks[0] else first,
            _unit(narrow, narrow, 128, 2),
            _units(narrow, 128, blocks[1]),
            _unit(narrow, wide, 256, 2),
            _units(wide, 256, blocks[2]),
            _unit(wide, wide, 512, 2),
            _units(wide, 256, blocks[3]),
        )
        self.conv_sep = _block(conv(wide, 512))
        self.features = Layers(
            Layers(_depthwise(512), nn.BatchNorm2d(512)),
            nn.Flatten(),
            nn.Linear(512, EMBEDDING, bias=False),
            nn.BatchNorm1d(EMBEDDING),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings, (B, 512), of normalised images (B, 3, 112, 112)."""
        embedding: Tensor = self.features(self.conv_sep(self.layers(images)))
        return embedding
