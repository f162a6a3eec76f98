"""SphereFace's plain residual networks without batch norm (Liu 2017), for 112 x 96."""

from __future__ import annotations

from torch import Tensor, nn

from gauntlet.pipeline.models.architectures.faces.units import EMBEDDING, conv

BLOCKS = {20: (1, 2, 4, 1), 64: (3, 7, 16, 3)}
"""Residual blocks of each stage by depth."""
_WIDTHS = (64, 128, 256, 512)
_LAST = 512 * 7 * 6


class Block(nn.Module):
    """The input plus two convolutions of it, each with a PReLU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = conv(width, width, 3)
        self.prelu1 = nn.PReLU(width)
        self.conv2 = conv(width, width, 3)
        self.prelu2 = nn.PReLU(width)

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape."""
        output: Tensor = features + self.prelu2(self.conv2(self.prelu1(self.conv1(features))))
        return output


class Sphere(nn.Module):
    """CosFace's form: stages `layer1` to `layer4`, a bias at the strided convolutions only.

    Args:
        depth: 20 or 64.
    """

    def __init__(self, depth: int) -> None:
        super().__init__()
        width = 3
        for stage, (out, blocks) in enumerate(zip(_WIDTHS, BLOCKS[depth], strict=True), 1):
            layers: list[nn.Module] = [conv(width, out, 3, 2, bias=True), nn.PReLU(out)]
            layers += [Block(out) for _ in range(blocks)]
            self.add_module(f"layer{stage}", nn.Sequential(*layers))
            width = out
        self.fc = nn.Linear(_LAST, EMBEDDING)

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings, (B, 512), of normalised images (B, 3, 112, 96)."""
        features = images
        for stage in range(1, 5):
            features = getattr(self, f"layer{stage}")(features)
        embedding: Tensor = self.fc(features.flatten(1))
        return embedding


class Sphere20a(nn.Module):
    """SphereFace's form: flat names, a bias everywhere; a file holds the classes, too, as `fc6`."""

    def __init__(self) -> None:
        super().__init__()
        width = 3
        for stage, (out, blocks) in enumerate(zip(_WIDTHS, BLOCKS[20], strict=True), 1):
            for layer in range(1, 2 * blocks + 2):
                stride = 2 if layer == 1 else 1
                self.add_module(f"conv{stage}_{layer}", conv(width, out, 3, stride, bias=True))
                self.add_module(f"relu{stage}_{layer}", nn.PReLU(out))
                width = out
        self.fc5 = nn.Linear(_LAST, EMBEDDING)

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings, (B, 512), of normalised images (B, 3, 112, 96)."""
        features = images
        for stage, blocks in enumerate(BLOCKS[20], 1):
            features = self._layer(features, stage, 1)
            for first in range(2, 2 * blocks + 1, 2):
                inner = self._layer(features, stage, first)
                features = features + self._layer(inner, stage, first + 1)
        embedding: Tensor = self.fc5(features.flatten(1))
        return embedding

    def _layer(self, features: Tensor, stage: int, layer: int) -> Tensor:
        convolved = getattr(self, f"conv{stage}_{layer}")(features)
        output: Tensor = getattr(self, f"relu{stage}_{layer}")(convolved)
        return output
