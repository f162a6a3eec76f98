"""RepVGG in its training form (Ding 2021), as FaceX-Zoo has it for 112 x 112."""

from __future__ import annotations

from torch import Tensor, nn

from gauntlet.pipeline.models.architectures.faces.units import EMBEDDING, conv


class ConvNorm(nn.Module):
    """Convolution and batch norm."""

    def __init__(self, width: int, out: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv = conv(width, out, kernel, stride)
        self.bn = nn.BatchNorm2d(out)

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, out, H / stride, W / stride)."""
        output: Tensor = self.bn(self.conv(features))
        return output


class Block(nn.Module):
    """ReLU of the sum of a 3 x 3, a 1 x 1 and, where shapes agree, an identity branch."""

    def __init__(self, width: int, out: int, stride: int) -> None:
        super().__init__()
        same = width == out and stride == 1
        self.rbr_identity = nn.BatchNorm2d(width) if same else None
        self.rbr_dense = ConvNorm(width, out, 3, stride)
        self.rbr_1x1 = ConvNorm(width, out, 1, stride)
        self.relu = nn.ReLU()

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, out, H / stride, W / stride)."""
        total = self.rbr_dense(features) + self.rbr_1x1(features)
        if self.rbr_identity is not None:
            total = total + self.rbr_identity(features)
        output: Tensor = self.relu(total)
        return output


class RepVGG(nn.Module):
    """Embeddings of 512 numbers, not normalised.

    Args:
        blocks: of each stage.
        widths: of each stage; the stem has the first's, 64 at most.
    """

    def __init__(self, blocks: tuple[int, ...], widths: tuple[int, ...]) -> None:
        super().__init__()
        width = min(64, widths[0])
        self.stage0 = Block(3, width, 1)
        for stage, (count, out) in enumerate(zip(blocks, widths, strict=True), 1):
            made = [Block(width, out, 2), *(Block(out, out, 1) for _ in range(count - 1))]
            self.add_module(f"stage{stage}", nn.Sequential(*made))
            width = out
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(width),
            nn.Flatten(),
            nn.Linear(width * 7 * 7, EMBEDDING),
            nn.BatchNorm1d(EMBEDDING),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings, (B, 512), of normalised images (B, 3, 112, 112)."""
        features = self.stage0(images)
        for stage in range(1, 5):
            features = getattr(self, f"stage{stage}")(features)
        embedding: Tensor = self.output_layer(features)
        return embedding
