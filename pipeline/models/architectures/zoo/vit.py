"""A vision transformer (Dosovitskiy 2021) behind a convolutional stem (Xiao 2021)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gauntlet.pipeline.models.architectures.zoo.blocks import EMBEDDING, unit

TOKENS, HEADS = 36, 4


class Attention(nn.Module):
    """Multi-head self-attention: softmax(Q K^T / sqrt(d)) V (Vaswani 2017, equation 1)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(width, 3 * width)
        self.softmax = nn.Softmax(-1)
        self.out = nn.Linear(width, width)
        self.width, self.depth = width, width // HEADS

    def forward(self, tokens: Tensor) -> Tensor:
        """Return (B, 36, width)."""
        projected = self.project(tokens).reshape(-1, TOKENS, 3, HEADS, self.depth)
        query, key, value = projected.permute(2, 0, 3, 1, 4).unbind(0)
        weights = self.softmax(query @ key.transpose(-2, -1) * self.depth**-0.5)
        mixed = (weights @ value).transpose(1, 2).reshape(-1, TOKENS, self.width)
        output: Tensor = self.out(mixed)
        return output


class Layer(nn.Module):
    """Attention and a perceptron, each behind a layer norm and beside a shortcut."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return (B, 36, width)."""
        tokens = tokens + self.attention(self.norm1(tokens))
        output: Tensor = tokens + self.mlp(self.norm2(tokens))
        return output


class ViT(nn.Module):
    """Four convolutions make 6 x 6 tokens of 80 numbers; three layers; a linear layer on them all.

    Faces are aligned, so where a token is says what it shows: tokens are narrowed and laid side by
    side, not averaged.
    """

    def __init__(self) -> None:
        super().__init__()
        width, narrow = 80, 20
        self.stem = nn.Sequential(
            unit(3, 24, stride=2),
            unit(24, 40, stride=2),
            unit(40, 40),
            unit(40, width, stride=2),
            nn.Flatten(2),
        )
        self.position = nn.Parameter(torch.empty(1, TOKENS, width).normal_(std=0.02))
        self.layers = nn.Sequential(*(Layer(width, 2 * width) for _ in range(3)))
        self.norm = nn.LayerNorm(width)
        self.embedding = nn.Sequential(
            nn.Linear(width, narrow),
            nn.Flatten(),
            nn.Linear(TOKENS * narrow, EMBEDDING, bias=False),
            nn.BatchNorm1d(EMBEDDING),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings, (B, 128), of normalised images (B, 3, 48, 48)."""
        tokens = self.stem(images).transpose(1, 2) + self.position
        embedding: Tensor = self.embedding(self.norm(self.layers(tokens)))
        return embedding
