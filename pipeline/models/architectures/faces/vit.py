"""Vision transformers of insightface and CVLFace: no class token, all tokens make the embedding."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gauntlet.pipeline.models.architectures.faces.units import EMBEDDING

_SIDE = 112
_EPS = 2e-5
"""Of the two batch norms behind the tokens."""


class Attention(nn.Module):
    """Self-attention of T tokens, (B, T, D) -> (B, T, D).

    Args:
        width: D.
        heads: attention heads.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale = (width // heads) ** -0.5
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the mixed tokens."""
        queries, keys, values = (
            self.qkv(tokens).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        )
        weights = (queries @ keys.transpose(2, 3) * self.scale).softmax(-1)
        output: Tensor = self.proj((weights @ values).transpose(1, 2).flatten(2))
        return output


class Perceptron(nn.Module):
    """Two linear layers with an activation between, on each token by itself."""

    def __init__(self, width: int, hidden: int, activation: nn.Module) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.act = activation
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens of the same shape."""
        output: Tensor = self.fc2(self.act(self.fc1(tokens)))
        return output


class Block(nn.Module):
    """Attention and perceptron, each behind a layer norm and added to its input."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.mlp = Perceptron(width, hidden, nn.ReLU6())

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens of the same shape."""
        tokens = tokens + self.attn(self.norm1(tokens))
        output: Tensor = tokens + self.mlp(self.norm2(tokens))
        return output


class Patches(nn.Module):
    """Tokens of square patches in row order; what is left over at the edge is not seen."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, size, size)

    def forward(self, images: Tensor) -> Tensor:
        """Return tokens, (B, (112 // size) ** 2, width)."""
        output: Tensor = self.proj(images).flatten(2).transpose(1, 2)
        return output


class ViT(nn.Module):
    """Faces of 112 x 112 to embeddings of 512 numbers, not normalised.

    Args:
        width: numbers of a token.
        depth: blocks.
        heads: attention heads.
        patch: side of a patch.
        expansion: of the perceptrons' hidden layer.
    """

    def __init__(
        self, width: int, depth: int, *, heads: int = 8, patch: int = 9, expansion: int = 4
    ) -> None:
        super().__init__()
        tokens = (_SIDE // patch) ** 2
        self.patch_embed = Patches(patch, width)
        self.pos_embed = nn.Parameter(torch.zeros(1, tokens, width))
        self.blocks = nn.Sequential(*(Block(width, heads, expansion * width) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.feature = nn.Sequential(
            nn.Linear(tokens * width, width, bias=False),
            nn.BatchNorm1d(width, _EPS),
            nn.Linear(width, EMBEDDING, bias=False),
            nn.BatchNorm1d(EMBEDDING, _EPS),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings, (B, 512), of normalised images (B, 3, 112, 112)."""
        tokens = self.blocks(self.patch_embed(images) + self.pos_embed)
        embedding: Tensor = self.feature(self.norm(tokens).flatten(1))
        return embedding
