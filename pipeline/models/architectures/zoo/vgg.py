"""A plain stack of 3 x 3 convolutions (Simonyan 2015), with batch norm."""

from __future__ import annotations

from torch import Tensor, nn

from gauntlet.pipeline.models.architectures.zoo.blocks import flat_embedding, unit


class VGG(nn.Module):
    """Six convolutions, max pooling between the stages, a linear layer on the last 3 x 3 map."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            unit(3, 24, stride=2),
            nn.MaxPool2d(2),
            unit(24, 48),
            unit(48, 48),
            nn.MaxPool2d(2),
            unit(48, 72),
            unit(72, 72),
            nn.MaxPool2d(2),
            unit(72, 96),
        )
        self.embedding = flat_embedding(96, 9)

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings, (B, 128), of normalised images (B, 3, 48, 48)."""
        embedding: Tensor = self.embedding(self.features(images))
        return embedding
