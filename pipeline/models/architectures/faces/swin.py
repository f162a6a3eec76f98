"""Swin transformers T and S (Liu 2021) as FaceX-Zoo has them, for 224 x 224."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gauntlet.pipeline.models.architectures.faces.units import EMBEDDING
from gauntlet.pipeline.models.architectures.faces.vit import Perceptron

_WINDOW = 7
_SHIFT = _WINDOW // 2
_WIDTH = 96
_SIDE = 56
"""Tokens along a side in the first stage."""


def _windows(maps: Tensor) -> Tensor:
    """Return the windows of maps (B, H, W, C) in row order, (B * windows, 49, C)."""
    split = torch.unflatten(torch.unflatten(maps, 2, (-1, _WINDOW)), 1, (-1, _WINDOW))
    return split.transpose(2, 3).flatten(0, 2).flatten(1, 2)


def _relative_positions() -> Tensor:
    """Return which row of the bias table each pair of tokens of a window has, int64 (49, 49)."""
    rows = torch.arange(_WINDOW, device="cpu").repeat_interleave(_WINDOW)
    columns = torch.arange(_WINDOW, device="cpu").repeat(_WINDOW)
    down = rows[:, None] - rows[None, :] + _WINDOW - 1
    right = columns[:, None] - columns[None, :] + _WINDOW - 1
    return down * (2 * _WINDOW - 1) + right


def _mask(side: int) -> Tensor:
    """Return -100 where two tokens of a shifted window were no neighbours, else 0: (n, 49, 49)."""
    place = torch.arange(side, device="cpu")
    band = (place >= side - _WINDOW).long() + (place >= side - _SHIFT).long()
    region = _windows((3 * band[:, None] + band[None, :])[None, :, :, None])[:, :, 0]
    apart = region[:, None, :] != region[:, :, None]
    return apart.float() * -100.0


class Attention(nn.Module):
    """Self-attention within windows of 7 x 7 tokens, with a learned bias by relative position."""

    relative_position_index: Tensor

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale = (width // heads) ** -0.5
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * _WINDOW - 1) ** 2, heads))
        self.register_buffer("relative_position_index", _relative_positions())
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """Return mixed tokens, (B * windows, 49, width).

        Args:
            tokens: of the same shape.
            mask: added to the weights of each window of an image, (windows, 49, 49).
        """
        queries, keys, values = (
            self.qkv(tokens).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        )
        bias = self.relative_position_bias_table[self.relative_position_index.flatten()]
        scores = (queries * self.scale) @ keys.transpose(2, 3)
        pairs = torch.unflatten(bias, 0, (_WINDOW**2, _WINDOW**2))
        scores = scores + pairs.permute(2, 0, 1)
        if mask is not None:
            scores = (scores.unflatten(0, (-1, mask.shape[0])) + mask[:, None]).flatten(0, 1)
        output: Tensor = self.proj((scores.softmax(-1) @ values).transpose(1, 2).flatten(2))
        return output


class Block(nn.Module):
    """Attention in windows, shifted in every second block, and a perceptron."""

    attn_mask: Tensor | None

    def __init__(self, width: int, heads: int, side: int, shifted: bool) -> None:
        super().__init__()
        self.side = side
        self.shift = _SHIFT if shifted and side > _WINDOW else 0
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Perceptron(width, 4 * width, nn.GELU())
        self.register_buffer("attn_mask", _mask(side) if self.shift else None)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens of the same shape, (B, side ** 2, width)."""
        maps = self.norm1(tokens).unflatten(1, (self.side, self.side))
        if self.shift:
            maps = maps.roll((-self.shift, -self.shift), (1, 2))
        mixed = self.attn(_windows(maps), self.attn_mask)
        count = self.side // _WINDOW
        maps = mixed.unflatten(1, (_WINDOW, _WINDOW)).unflatten(0, (-1, count, count))
        maps = maps.transpose(2, 3).flatten(3, 4).flatten(1, 2)
        if self.shift:
            maps = maps.roll((self.shift, self.shift), (1, 2))
        tokens = tokens + maps.flatten(1, 2)
        output: Tensor = tokens + self.mlp(self.norm2(tokens))
        return output


class Merge(nn.Module):
    """Four neighbouring tokens become one of twice the width."""

    def __init__(self, width: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)
        self.norm = nn.LayerNorm(4 * width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return (B, side ** 2 / 4, 2 width)."""
        maps = torch.unflatten(tokens, 1, (self.side, self.side))
        corners = [maps[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        output: Tensor = self.reduction(self.norm(torch.cat(corners, 3).flatten(1, 2)))
        return output


class Stage(nn.Module):
    """Blocks of one width, and the merging behind them."""

    def __init__(self, width: int, heads: int, side: int, depth: int, last: bool) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            *(Block(width, heads, side, shifted=block % 2 == 1) for block in range(depth))
        )
        self.downsample: nn.Module = nn.Identity() if last else Merge(width, side)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the tokens of the next stage."""
        output: Tensor = self.downsample(self.blocks(tokens))
        return output


class Patches(nn.Module):
    """Normalised tokens of patches of 4 x 4."""

    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, _WIDTH, 4, 4)
        self.norm = nn.LayerNorm(_WIDTH)

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, 56 ** 2, 96)."""
        output: Tensor = self.norm(self.proj(images).flatten(2).transpose(1, 2))
        return output


class Swin(nn.Module):
    """Embeddings of 512 numbers, not normalised.

    Args:
        depths: blocks of the four stages.
    """

    def __init__(self, depths: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.patch_embed = Patches()
        self.layers = nn.Sequential(
            *(
                Stage(_WIDTH << stage, 3 << stage, _SIDE >> stage, depth, last=stage == 3)
                for stage, depth in enumerate(depths)
            )
        )
        self.output_layer = nn.Sequential(
            nn.LayerNorm(8 * _WIDTH),
            nn.Flatten(),
            nn.Linear(8 * _WIDTH * _WINDOW**2, EMBEDDING),
            nn.BatchNorm1d(EMBEDDING),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings, (B, 512), of normalised images (B, 3, 224, 224)."""
        embedding: Tensor = self.output_layer(self.layers(self.patch_embed(images)))
        return embedding
