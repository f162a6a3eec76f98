"""TF-NAS-A (Hu 2020) as FaceX-Zoo has it for 112 x 112."""

from __future__ import annotations

from torch import Tensor, nn

from gauntlet.pipeline.models.architectures.faces.units import EMBEDDING, Gate, conv

_Row = tuple[int, int, int, int, int, int]
"""Channels in, hidden, of the gate (0: none), out, kernel, stride."""
_STAGES: tuple[tuple[_Row, ...], ...] = (
    ((16, 83, 32, 24, 3, 2), (24, 128, 0, 24, 5, 1)),
    ((24, 138, 48, 40, 3, 2), (40, 297, 0, 40, 3, 1), (40, 170, 80, 40, 5, 1)),
    (
        (40, 248, 80, 80, 5, 2), (80, 500, 0, 80, 3, 1), (80, 424, 0, 80, 3, 1),
        (80, 477, 0, 80, 3, 1),
    ),
    (
        (80, 504, 160, 112, 3, 1), (112, 796, 0, 112, 3, 1), (112, 723, 224, 112, 3, 1),
        (112, 555, 224, 112, 3, 1),
    ),
    (
        (112, 813, 0, 192, 3, 2), (192, 1370, 0, 192, 3, 1), (192, 1138, 384, 192, 3, 1),
        (192, 1359, 384, 192, 3, 1),
    ),
    ((192, 1203, 384, 320, 5, 1),),
)  # fmt: skip
_RELU = 1
"""Stages up to this one have ReLU, the others swish."""


class ConvNorm(nn.Module):
    """Convolution, batch norm and, unless None, an activation."""

    def __init__(self, inner: nn.Conv2d, act: nn.Module | None) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(inner.out_channels)
        self.conv = inner
        self.act = act or nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, out, H / stride, W / stride)."""
        output: Tensor = self.act(self.bn(self.conv(features)))
        return output


class Block(nn.Module):
    """Expansion, depthwise convolution, gate and projection, as the search has chosen them."""

    def __init__(self, row: _Row, act: type[nn.Module]) -> None:
        super().__init__()
        width, hidden, gated, out, kernel, stride = row
        self.inverted_bottleneck: nn.Module = nn.Identity()
        if hidden > width:
            self.inverted_bottleneck = ConvNorm(conv(width, hidden), act())
        self.depth_conv = ConvNorm(conv(hidden, hidden, kernel, stride, hidden), act())
        self.squeeze_excite: nn.Module = nn.Identity()
        if gated:
            self.squeeze_excite = Gate(hidden, gated, inner=act())
        self.point_linear = ConvNorm(conv(hidden, out), None)
        self.residual = width == out and stride == 1

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, out, H / stride, W / stride)."""
        inner = self.depth_conv(self.inverted_bottleneck(features))
        branch: Tensor = self.point_linear(self.squeeze_excite(inner))
        return features + branch if self.residual else branch


class TFNASA(nn.Module):
    """Embeddings of 512 numbers, not normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.first_stem = ConvNorm(conv(3, 32, 3), nn.ReLU())
        self.second_stem = Block((32, 32, 8, 16, 3, 1), nn.ReLU)
        for stage, rows in enumerate(_STAGES, 1):
            act = nn.ReLU if stage <= _RELU else nn.SiLU
            self.add_module(f"stage{stage}", nn.Sequential(*(Block(row, act) for row in rows)))
        self.feature_mix_layer = ConvNorm(conv(320, 1280), None)
        self.output_layer = nn.Sequential(
            nn.Dropout(),
            nn.Flatten(),
            nn.Linear(1280 * 7 * 7, EMBEDDING),
            nn.BatchNorm1d(EMBEDDING),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings, (B, 512), of normalised images (B, 3, 112, 112)."""
        features = self.second_stem(self.first_stem(images))
        for stage in range(1, len(_STAGES) + 1):
            features = getattr(self, f"stage{stage}")(features)
        embedding: Tensor = self.output_layer(self.feature_mix_layer(features))
        return embedding
