"""IR and IR-SE: face.evoLVe's form, which most repositories share, and AdaFace's."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import Tensor, nn

from gauntlet.pipeline.models.architectures.faces.units import Gate, conv, of_length_one, tail

BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 14, 3),
    101: (3, 13, 30, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
}
"""Blocks of each stage by depth."""

Branch = Callable[[int, int, int, bool], nn.Sequential]
"""Channels in, channels out, stride, whether squeeze and excitation: the residual layer."""


class Subsample(nn.Module):
    """Every so many rows and columns, starting with the first; no parameters."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, C, ceil(H / stride), ceil(W / stride))."""
        return features[:, :, :: self.stride, :: self.stride]


class Block(nn.Module):
    """A residual layer, and a shortcut that subsamples where the channels stay."""

    def __init__(self, width: int, out: int, stride: int, branch: nn.Sequential) -> None:
        super().__init__()
        self.shortcut_layer: nn.Module = Subsample(stride)
        if width != out:
            self.shortcut_layer = nn.Sequential(conv(width, out, 1, stride), nn.BatchNorm2d(out))
        self.res_layer = branch

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, out, H / stride, W / stride)."""
        output: Tensor = self.res_layer(features) + self.shortcut_layer(features)
        return output


class IR(nn.Module):
    """Faces of 112 x 112 to embeddings of 512 numbers.

    Args:
        depth: 50, 101 or 152.
        se: whether blocks end with squeeze and excitation.
        affine: whether the last batch norm has a weight and a bias; CurricularFace's has none.
        unit: whether embeddings are divided by their length.
    """

    def __init__(
        self, depth: int, se: bool = False, *, affine: bool = True, unit: bool = False
    ) -> None:
        super().__init__()
        self.input_layer = _stem()
        self.output_layer = tail(512, affine=affine)
        self.body = _body(depth, (64, 128, 256, 512), se, _plain)
        self.unit = unit

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings, (B, 512), of normalised images (B, 3, 112, 112)."""
        embedding: Tensor = self.output_layer(self.body(self.input_layer(images)))
        return of_length_one(embedding) if self.unit else embedding


class AdaFaceIR(nn.Module):
    """The form with a batch norm between the convolutions, and none to scale the embedding.

    AdaFace returns the unit embedding and its length apart; here it is the embedding itself, which
    is what its test adds up over an image and its mirror image.

    Args:
        depth: 18, 34, 50, 101; 152 and 200 have bottlenecks and four times the channels.
        se: whether blocks end with squeeze and excitation.
    """

    def __init__(self, depth: int, se: bool = False) -> None:
        super().__init__()
        wide = depth > 101
        widths = (256, 512, 1024, 2048) if wide else (64, 128, 256, 512)
        self.input_layer = _stem()
        self.output_layer = tail(widths[-1], affine=False)
        self.body = _body(depth, widths, se, _bottleneck if wide else _with_middle_norm)

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings, (B, 512), of normalised images (B, 3, 112, 112)."""
        embedding: Tensor = self.output_layer(self.body(self.input_layer(images)))
        return embedding


def _stem() -> nn.Sequential:
    return nn.Sequential(conv(3, 64, 3), nn.BatchNorm2d(64), nn.PReLU(64))


def _body(depth: int, widths: tuple[int, ...], se: bool, branch: Branch) -> nn.Sequential:
    def blocks() -> Iterator[Block]:
        width = 64
        for out, count in zip(widths, BLOCKS[depth], strict=True):
            for block in range(count):
                stride = 2 if block == 0 else 1
                yield Block(width, out, stride, branch(width, out, stride, se))
                width = out

    return nn.Sequential(*blocks())


def _gate(width: int) -> Gate:
    return Gate(width, width // 16, names=("fc1", "fc2"), bias=False)


def _plain(width: int, out: int, stride: int, se: bool) -> nn.Sequential:
    return nn.Sequential(
        nn.BatchNorm2d(width),
        conv(width, out, 3),
        nn.PReLU(out),
        conv(out, out, 3, stride),
        nn.BatchNorm2d(out),
        *([_gate(out)] if se else []),
    )


def _with_middle_norm(width: int, out: int, stride: int, se: bool) -> nn.Sequential:
    branch = nn.Sequential(
        nn.BatchNorm2d(width),
        conv(width, out, 3),
        nn.BatchNorm2d(out),
        nn.PReLU(out),
        conv(out, out, 3, stride),
        nn.BatchNorm2d(out),
    )
    if se:
        branch.add_module("se_block", _gate(out))
    return branch


def _bottleneck(width: int, out: int, stride: int, se: bool) -> nn.Sequential:
    inner = out // 4
    branch = nn.Sequential(
        nn.BatchNorm2d(width),
        conv(width, inner),
        nn.BatchNorm2d(inner),
        nn.PReLU(inner),
        conv(inner, inner, 3),
        nn.BatchNorm2d(inner),
        nn.PReLU(inner),
        conv(inner, out, 1, stride),
        nn.BatchNorm2d(out),
    )
    if se:
        branch.add_module("se_block", _gate(out))
    return branch
