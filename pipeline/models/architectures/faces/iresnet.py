"""IResNet of insightface and MagFace, and LResNet50E-IR of CosFace (ArcFace, Deng 2019)."""

from __future__ import annotations

from torch import Tensor, nn

from gauntlet.pipeline.models.architectures.faces.units import EMBEDDING, conv

BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 14, 3),
    100: (3, 13, 30, 3),
    200: (6, 26, 60, 6),
}
"""Blocks of each stage by depth."""
_WIDTHS = (64, 128, 256, 512)


class Block(nn.Module):
    """BN - conv - BN - PReLU - conv - BN, and a shortcut.

    Args:
        width: channels in.
        out: channels out.
        stride: of the second convolution; the first block of a stage has 2.
        eps: of every batch norm.
        prelu: name of the activation.
    """

    def __init__(self, width: int, out: int, stride: int, eps: float, prelu: str) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(width, eps)
        self.conv1 = conv(width, out, 3)
        self.bn2 = nn.BatchNorm2d(out, eps)
        self.prelu_name = prelu
        self.add_module(prelu, nn.PReLU(out))
        self.conv2 = conv(out, out, 3, stride)
        self.bn3 = nn.BatchNorm2d(out, eps)
        self.downsample: nn.Module | None = None
        if stride != 1:
            self.downsample = nn.Sequential(conv(width, out, 1, stride), nn.BatchNorm2d(out, eps))

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, out, H / stride, W / stride)."""
        prelu = getattr(self, self.prelu_name)
        branch = self.bn3(self.conv2(prelu(self.bn2(self.conv1(self.bn1(features))))))
        shortcut = features if self.downsample is None else self.downsample(features)
        output: Tensor = branch + shortcut
        return output


class _Body(nn.Module):
    """Stem and four stages, each of which halves the map."""

    def __init__(self, depth: int, eps: float, prelu: str) -> None:
        super().__init__()
        self.conv1 = conv(3, 64, 3)
        self.bn1 = nn.BatchNorm2d(64, eps)
        self.prelu_name = prelu
        self.add_module(prelu, nn.PReLU(64))
        width = 64
        for stage, (out, blocks) in enumerate(zip(_WIDTHS, BLOCKS[depth], strict=True), 1):
            made = [Block(width, out, 2, eps, prelu)]
            made += [Block(out, out, 1, eps, prelu) for _ in range(blocks - 1)]
            self.add_module(f"layer{stage}", nn.Sequential(*made))
            width = out

    def body(self, images: Tensor) -> Tensor:
        """Return the last map, (B, 512, H / 16, W / 16)."""
        features = getattr(self, self.prelu_name)(self.bn1(self.conv1(images)))
        for stage in range(1, 5):
            features = getattr(self, f"layer{stage}")(features)
        output: Tensor = features
        return output


class IResNet(_Body):
    """Faces of 112 x 112 to embeddings of 512 numbers, not normalised.

    Args:
        depth: 18, 34, 50, 100 or 200.
        eps: of every batch norm; insightface 1e-5, MagFace 2e-5. The files do not tell.
    """

    def __init__(self, depth: int, eps: float = 1e-5) -> None:
        super().__init__(depth, eps, "prelu")
        self.bn2 = nn.BatchNorm2d(512, eps)
        self.fc = nn.Linear(512 * 7 * 7, EMBEDDING)
        self.features = nn.BatchNorm1d(EMBEDDING, eps)

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings, (B, 512), of normalised images (B, 3, 112, 112)."""
        embedding: Tensor = self.features(self.fc(self.bn2(self.body(images)).flatten(1)))
        return embedding


class LResNet50E(_Body):
    """CosFace's form for 112 x 96: other names, and batch norm behind the flattening."""

    def __init__(self) -> None:
        super().__init__(50, 1e-5, "prelu1")
        width = 512 * 7 * 6
        self.fc = nn.Sequential(
            nn.BatchNorm1d(width),
            nn.Dropout(),
            nn.Linear(width, EMBEDDING),
            nn.BatchNorm1d(EMBEDDING),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings, (B, 512), of normalised images (B, 3, 112, 96)."""
        embedding: Tensor = self.fc(self.body(images).flatten(1))
        return embedding
