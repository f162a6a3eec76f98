"""An MLP-Mixer (Tolstikhin 2021): perceptrons over patches and over channels in turn."""

from __future__ import annotations

from torch import Tensor, nn

from pipeline.models.architectures.zoo.blocks import EMBEDDING

TOKENS = 36


class Layer(nn.Module):
    """A perceptron over the 36 tokens, one over the channels; each behind a norm, beside a skip."""

    def __init__(self, width: int, over_tokens: int, over_channels: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.tokens = nn.Sequential(
            nn.Linear(TOKENS, over_tokens), nn.GELU(), nn.Linear(over_tokens, TOKENS)
        )
        self.norm2 = nn.LayerNorm(width)
        self.channels = nn.Sequential(
            nn.Linear(width, over_channels), nn.GELU(), nn.Linear(over_channels, width)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Return (B, 36, width)."""
        mixed = self.tokens(self.norm1(tokens).transpose(1, 2)).transpose(1, 2)
        tokens = tokens + mixed
        output: Tensor = tokens + self.channels(self.norm2(tokens))
        return output


class Mixer(nn.Module):
    """Patches of 8 x 8 pixels, shrunk in two steps, 96 channels, four layers; their mean."""

    def __init__(self) -> None:
        super().__init__()
        width = 96
        self.stem = nn.Sequential(
            nn.Conv2d(3, 32, 4, 4),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Conv2d(32, width, 2, 2),
            nn.Flatten(2),
        )
        self.layers = nn.Sequential(*(Layer(width, 72, 2 * width) for _ in range(4)))
        self.norm = nn.LayerNorm(width)
        self.embedding = nn.Sequential(
            nn.Linear(width, EMBEDDING, bias=False), nn.BatchNorm1d(EMBEDDING)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings, (B, 128), of normalised images (B, 3, 48, 48)."""
        tokens = self.stem(images).transpose(1, 2)
        tokens = self.norm(self.layers(tokens))
        embedding: Tensor = self.embedding(tokens.mean(1))
        return embedding
