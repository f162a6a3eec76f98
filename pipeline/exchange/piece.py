"""Tensors in a stretch of memory: where each of them lies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gauntlet.pipeline.exchange.segment import HEADER


@dataclass(frozen=True)
class Piece:
    """Where a tensor lies in a segment, and what it is.

    Attributes:
        offset: of its first byte, a multiple of `HEADER`.
        shape: of the tensor.
        dtype: of the tensor.
    """

    offset: int
    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def size(self) -> int:
        """Bytes."""
        return math.prod(self.shape) * self.dtype.itemsize

    def on(self, memory: Tensor) -> Tensor:
        """Return the tensor, on the memory of a whole segment.

        Args:
            memory: uint8 (N,).

        Raises:
            ValueError: when it does not lie inside.
        """
        inside = (
            HEADER <= self.offset <= memory.numel() - self.size and min(self.shape, default=0) >= 0
        )
        if not inside or self.offset % HEADER:
            raise ValueError(f"{self} does not lie in a segment of {memory.numel()} bytes")
        return memory[self.offset : self.offset + self.size].view(self.dtype).view(self.shape)


class Layout:
    """Pieces one behind the other.

    Attributes:
        size: bytes of the segment that they need.
    """

    def __init__(self) -> None:
        self.size = HEADER

    def add(self, shape: Sequence[int], dtype: torch.dtype) -> Piece:
        """Return the place of the next tensor."""
        piece = Piece(self.size, tuple(shape), dtype)
        self.size += -(-piece.size // HEADER) * HEADER
        return piece
