"""MobileFaceNet (Chen 2018) in the two layouts that published checkpoints come in.

Both have the same stages and differ in names, activations and the shape of the last depthwise
convolution. Outputs are embeddings of 128 numbers, not normalised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import Tensor, nn

EMBEDDING = 128
_WIDTH = 64
_LAST = 512


def _bottlenecks() -> Iterator[tuple[int, int, int, int]]:
    """Yield (channels in, hidden, channels out, stride) of the fifteen bottlenecks."""
    width = _WIDTH
    for expansion, out, blocks, stride in (
        (2, 64, 5, 2),
        (4, 128, 1, 2),
        (2, 128, 6, 1),
        (4, 128, 1, 2),
        (2, 128, 2, 1),
    ):
        for block in range(blocks):
            yield width, expansion * width, out, stride if block == 0 else 1
            width = out


class Bottleneck(nn.Module):
    """An inverted residual; the input is added where stride and channels allow it.

    Args:
        conv: the branch, under the name that both layouts give it.
        residual: whether the input is added.
    """

    def __init__(self, conv: nn.Sequential, residual: bool) -> None:
        super().__init__()
        self.conv = conv
        self.residual = residual

    def forward(self, features: Tensor) -> Tensor:
        """Return the branch's output, the input added where that is meant."""
        branch: Tensor = self.conv(features)
        return features + branch if self.residual else branch


def _stack(branch: Callable[[int, int, int, int], nn.Sequential]) -> nn.Sequential:
    return nn.Sequential(
        *(
            Bottleneck(branch(width, hidden, out, stride), stride == 1 and width == out)
            for width, hidden, out, stride in _bottlenecks()
        )
    )


def _conv(width: int, out: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    padding = kernel // 2
    return nn.Conv2d(width, out, kernel, stride, padding, groups=groups, bias=False)


# Layout mobilefacenet-112: ReLU6, 112 x 112.


def _conv_bn_relu6(width: int, out: int, kernel: int, stride: int, groups: int) -> nn.Sequential:
    return nn.Sequential(_conv(width, out, kernel, stride, groups), nn.BatchNorm2d(out), nn.ReLU6())


def _branch_relu6(width: int, hidden: int, out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        _conv_bn_relu6(width, hidden, 1, 1, 1),
        _conv_bn_relu6(hidden, hidden, 3, stride, hidden),
        _conv(hidden, out, 1),
        nn.BatchNorm2d(out),
    )


class DepthwiseSeparable(nn.Module):
    """A depthwise and a pointwise convolution, each with batch norm and a plain ReLU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = _conv(width, width, 3, groups=width)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU()
        self.pointwise = _conv(width, width, 1)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu2 = nn.ReLU()

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape."""
        features = self.relu1(self.bn1(self.depthwise(features)))
        output: Tensor = self.relu2(self.bn2(self.pointwise(features)))
        return output


class GlobalDepthwise(nn.Module):
    """A depthwise convolution over the whole 7 x 7 map, and batch norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 7, groups=width, bias=False)
        self.bn = nn.BatchNorm2d(width)

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, width, 1, 1)."""
        output: Tensor = self.bn(self.depthwise(features))
        return output


class MobileFaceNet112(nn.Module):
    """The layout with ReLU6 for 112 x 112 images; 999,936 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _conv_bn_relu6(3, _WIDTH, 3, 2, 1)
        self.dw_conv = DepthwiseSeparable(_WIDTH)
        self.features = _stack(_branch_relu6)
        self.conv2 = _conv_bn_relu6(128, _LAST, 1, 1, 1)
        self.gdconv = GlobalDepthwise(_LAST)
        self.conv3 = nn.Conv2d(_LAST, EMBEDDING, 1)
        self.bn = nn.BatchNorm2d(EMBEDDING)

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings, (B, 128), of normalised images (B, 3, 112, 112)."""
        features = self.features(self.dw_conv(self.conv1(images)))
        features = self.gdconv(self.conv2(features))
        embedding: Tensor = self.bn(self.conv3(features)).flatten(1)
        return embedding


# Layout mobilefacenet-112x96: PReLU, 112 high and 96 wide.


class ConvUnit(nn.Module):
    """Convolution and batch norm, and a PReLU with one slope per channel if ``active``."""

    def __init__(self, conv: nn.Conv2d, active: bool) -> None:
        super().__init__()
        self.conv = conv
        self.bn = nn.BatchNorm2d(conv.out_channels)
        if active:
            self.prelu = nn.PReLU(conv.out_channels)
        self.active = active

    def forward(self, features: Tensor) -> Tensor:
        """Return the convolved features."""
        output: Tensor = self.bn(self.conv(features))
        return self.prelu(output) if self.active else output


def _branch_prelu(width: int, hidden: int, out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        _conv(width, hidden, 1),
        nn.BatchNorm2d(hidden),
        nn.PReLU(hidden),
        _conv(hidden, hidden, 3, stride, hidden),
        nn.BatchNorm2d(hidden),
        nn.PReLU(hidden),
        _conv(hidden, out, 1),
        nn.BatchNorm2d(out),
    )


class MobileFaceNet112x96(nn.Module):
    """The layout with PReLU for images 112 high and 96 wide; 999,552 parameters.

    Args:
        embedding: numbers of an embedding.
        last: height and width of the last map; RobFR's network has 7 x 7, of 112 x 112.
    """

    def __init__(self, embedding: int = EMBEDDING, last: tuple[int, int] = (7, 6)) -> None:
        super().__init__()
        self.conv1 = ConvUnit(_conv(3, _WIDTH, 3, 2), active=True)
        self.dw_conv1 = ConvUnit(_conv(_WIDTH, _WIDTH, 3, groups=_WIDTH), active=True)
        self.blocks = _stack(_branch_prelu)
        self.conv2 = ConvUnit(_conv(128, _LAST, 1), active=True)
        whole = nn.Conv2d(_LAST, _LAST, last, groups=_LAST, bias=False)
        self.linear7 = ConvUnit(whole, active=False)
        self.linear1 = ConvUnit(_conv(_LAST, embedding, 1), active=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings, (B, embedding), of normalised images (B, 3, 112, 96)."""
        features = self.blocks(self.dw_conv1(self.conv1(images)))
        embedding: Tensor = self.linear1(self.linear7(self.conv2(features)))
        return embedding.flatten(1)
