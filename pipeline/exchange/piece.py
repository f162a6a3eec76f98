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


def stacked(tensors: Sequence[Tensor]) -> Tensor:
    """Return tensors of one shape and type stacked, (k, ...).

    Nothing is copied where they lie one behind the other in the same memory, as the gradients of a
    round do: then the stack is that memory.
    """
    first = tensors[0]
    memory, offset = first.untyped_storage().data_ptr(), first.storage_offset()
    apart = tensors[1].storage_offset() - offset if len(tensors) > 1 else first.numel()
    even = apart >= first.numel() and all(
        tensor.untyped_storage().data_ptr() == memory
        and tensor.storage_offset() == offset + index * apart
        and tensor.dtype == first.dtype
        and tensor.shape == first.shape
        and tensor.is_contiguous()
        for index, tensor in enumerate(tensors)
    )
    if not even or first.requires_grad:
        return torch.stack(list(tensors))
    return first.as_strided((len(tensors), *first.shape), (apart, *first.stride()))
