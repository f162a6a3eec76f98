"""What the rules need of k gradients an example: lengths, Gram matrix, one weighted sum.

float32 is not exact enough for a Gram matrix: where gradients have a cosine of 0.999, weights come
out wrong by 4e-3. float64 copies of all gradients are exact and slow: moving them takes most of a
combination's time. So the gradients are read in pieces that are turned to float64 while they are in
the cache, and unit vectors are never made: their lengths go into the Gram matrix and the weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from gauntlet.pipeline.norms import CHUNK, by_rows

Rows = Tensor | Sequence[Tensor]
"""k vectors of each example: k tensors (B, N), or one of them all, (k, B, N)."""

_BLOCK = 8
"""Most rows in one product. A BLAS shares larger ones out among its threads, whose number then
decides the last bits."""
_TOGETHER = {"cpu": 40}
"""Rows, of several examples, that are turned to float64 at a time: 5 MB. Examples never meet, so
this is a matter of the cache alone."""
_ELSEWHERE = 2048
"""The same on other devices, where a call costs more than the memory it moves."""
_RUN = 16
"""Rows that a mean adds up one after the other, before it adds up their sums, as torch's does."""


@dataclass(frozen=True)
class Units:
    """The gradients of each example, taken as unit vectors u_i = g_i / |g_i|_2.

    Attributes:
        gradients: g, k of (B, N), as they came.
        inverse: 1 / |g_i|_2, float64 (B, k); 0 for a gradient of zeros, which so stays zero.
        matrix: A_ij = <u_i, u_j>, float64 (B, k, k); rows and columns of zeros are zero.
    """

    gradients: Rows
    inverse: Tensor
    matrix: Tensor

    @classmethod
    def of(cls, gradients: Rows) -> Units:
        """Read the gradients, k of (B, N), once."""
        products = gram(gradients)
        squares = products.diagonal(dim1=1, dim2=2)
        heard = squares >= torch.finfo(squares.dtype).tiny
        inverse = torch.where(heard, squares.rsqrt(), 0.0)
        matrix = products * inverse[:, :, None] * inverse[:, None, :]
        matrix.diagonal(dim1=1, dim2=2).copy_(heard)
        return cls(gradients, inverse, matrix)

    def sum(self, weights: Tensor) -> Tensor:
        """Return sum_i w_i u_i of each example, (B, N), for weights (B, k)."""
        return weighted_sum(weights.double() * self.inverse, self.gradients)

    def rows(self, example: int) -> Tensor:
        """Return the unit vectors of one example, (k, N), in the gradients' own type."""
        own = torch.stack([row[example] for row in self.gradients])
        return (own.double() * self.inverse[example, :, None]).to(own.dtype)


def gram(rows: Rows) -> Tensor:
    """Return the Gram matrix of each example's rows, k of (B, N), float64 (B, k, k).

    An example's numbers depend neither on the others of its batch nor on the number of threads.
    """
    k, examples = len(rows), len(rows[0])
    found = rows[0].new_zeros(examples, k, k, dtype=torch.float64)
    blocks = [slice(first, first + _BLOCK) for first in range(0, k, _BLOCK)]
    for some, _, wide in _pieces(rows):
        for index, first in enumerate(blocks):
            for second in blocks[: index + 1]:
                found[some, first, second] += wide[:, first] @ wide[:, second].mT
    for index, first in enumerate(blocks):
        for second in blocks[:index]:
            found[:, second, first] = found[:, first, second].mT
    return found


def weighted_sum(weights: Tensor, rows: Rows) -> Tensor:
    """Return sum_i w_i g_i of each example, (B, N), added up in float64.

    In float32 the weight of a short gradient's unit vector would overflow.

    Args:
        weights: (B, k).
        rows: g, k of (B, N).
    """
    found = torch.empty_like(rows[0])
    wanted = weights.double()[:, None]
    for some, columns, wide in _pieces(rows):
        found[some, columns] = (wanted[some] @ wide)[:, 0]
    return found


def mean(rows: Rows) -> Tensor:
    """Return the mean of each example's rows, k of (B, N), (B, N).

    One order for every entry: in torch's own mean it depends on where in the batch the entry is.
    """
    return by_rows(_mean, *rows)


def _mean(*rows: Tensor) -> Tensor:
    of = rows[0].dtype
    wide = of if of == torch.float64 else torch.float32
    runs = [rows[first : first + _RUN] for first in range(0, len(rows), _RUN)]
    sums = [reduce(torch.add, (row.to(wide) for row in run)) for run in runs]
    return (reduce(torch.add, sums) / len(rows)).to(of)


def _pieces(rows: Rows) -> Iterator[tuple[slice, slice, Tensor]]:
    """Yield examples, columns, and their entries in float64, (b, k, n), until the next are wanted.

    All go through one place in memory: new pages for each would take longer than what fills them.
    """
    k, (examples, entries) = len(rows), rows[0].shape
    together = max(1, _TOGETHER.get(rows[0].device.type, _ELSEWHERE) // max(1, k))
    most = k * min(together, examples) * min(CHUNK, entries)
    room = rows[0].new_empty(most, dtype=torch.float64)
    for first in range(0, examples, together):
        some = slice(first, first + together)
        pieces = zip(*(row[some].split(CHUNK, dim=1) for row in rows), strict=True)
        for index, piece in enumerate(pieces):
            shape = (k, *piece[0].shape)
            wide = room[: math.prod(shape)].view(shape)
            for into, row in zip(wide, piece, strict=True):
                into.copy_(row)
            columns = slice(index * CHUNK, index * CHUNK + shape[2])
            yield some, columns, wide.transpose(0, 1)
