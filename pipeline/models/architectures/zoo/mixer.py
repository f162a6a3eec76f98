"""An MLP-Mixer (Tolstikhin 2021): perceptrons over patches and over channels in turn."""

from __future__ import annotations

from torch import Tensor, nn

from gauntlet.pipeline.models.architectures.zoo.blocks import EMBEDDING, unit

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
    """Four convolutions make 6 x 6 tokens of 88 numbers; four layers; a linear layer on all."""

    def __init__(self) -> None:
        super().__init__()
        width, narrow = 88, 16
        self.stem = nn.Sequential(
            unit(3, 24, stride=2),
            unit(24, 40, stride=2),
            unit(40, 40),
            nn.Conv2d(40, width, 2, 2),
            nn.Flatten(2),
        )
        self.layers = nn.Sequential(*(Layer(width, 72, 2 * width) for _ in range(4)))
        self.norm = nn.LayerNorm(width)
        self.embedding = nn.Sequential(
            nn.Linear(width, narrow),
            nn.Flatten(),
            nn.Linear(TOKENS * narrow, EMBEDDING, bias=False),
            nn.BatchNorm1d(EMBEDDING),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings, (B, 128), of normalised images (B, 3, 48, 48)."""
        tokens = self.stem(images).transpose(1, 2)
        embedding: Tensor = self.embedding(self.norm(self.layers(tokens)))
        return embedding
