"""Norms of single examples, and the guards that keep a zero gradient zero (specification 0.3).

Every function takes a tensor (B, ...) and reduces each row on its own: nothing here ever mixes two
examples of a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import torch
from torch import Tensor

CHUNK = 16384
"""Entries of a row that are turned to float64 at a time, so that they stay in the cache. Fixed, so
that a row adds up in one order whatever travels with it."""

_IN_CACHE = 2**17
"""Entries of each tensor that a core works on at a time, whole rows: half a MB in float32."""

Normaliser = Literal["sign", "l2rms", "l2", "mabs", "linf"]


def per_row(values: Tensor, like: Tensor) -> Tensor:
    """Reshape (B,) so that it broadcasts against ``like`` (B, ...)."""
    return values.reshape(-1, *([1] * (like.ndim - 1)))


def by_rows(work: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """Return ``work(*tensors)``, worked out for a few rows at a time.

    A chain of elementwise operations over whole batches reads and writes memory at every link; over
    a few rows it stays in the cache. What comes out is the same, since rows never meet.

    Args:
        work: makes a tensor (b, ...) of the same b rows of every tensor.
        tensors: (B, ...) each.
    """
    first, *others = _few(tensors[0])
    found = work(*(values[first] for values in tensors))
    if not others:
        return found
    whole = found.new_empty(len(tensors[0]), *found.shape[1:])
    whole[first] = found
    for some in others:
        # What was made of the rows before goes, so that this one takes its place in the cache.
        whole[some] = found = work(*(values[some] for values in tensors))
    return whole


def _few(values: Tensor) -> Iterator[slice]:
    """Yield slices of rows: few on a CPU, all elsewhere, where calls cost more than memory.

    Never one row of several: sums over a single long row are shared out among the threads, whose
    number would then decide the last bits.
    """
    rows, parts = len(values), 1
    if values.device.type == "cpu" and rows:
        room = _IN_CACHE * torch.get_num_threads()
        parts = max(1, rows // max(2, room // max(1, values[0].numel())))
    for part in range(parts):
        yield slice(rows * part // parts, rows * (part + 1) // parts)


def l2(values: Tensor) -> Tensor:
    """Euclidean norm of each row, (B,), accumulated in float64."""
    pieces = [
        torch.linalg.vector_norm(piece, dim=1, dtype=torch.float64)
        for piece in torch.split(values.flatten(1), CHUNK, dim=1)
    ]
    return torch.stack(pieces).square_().sum(0).sqrt().to(values.dtype)


def l2rms(values: Tensor) -> Tensor:
    """Root mean square of each row, (B,)."""
    return l2(values) / (values[0].numel() ** 0.5 if len(values) else 1.0)


def mabs(values: Tensor) -> Tensor:
    """Mean absolute value of each row, (B,)."""
    return values.flatten(1).abs().mean(1)


def linf(values: Tensor) -> Tensor:
    """Largest absolute value of each row, (B,)."""
    return values.flatten(1).abs().amax(1)


_NORMS: dict[str, Callable[[Tensor], Tensor]] = {
    "l2rms": l2rms,
    "l2": l2,
    "mabs": mabs,
    "linf": linf,
}


def divide(values: Tensor, norms: Tensor) -> Tensor:
    """Divide each row by its norm; a zero row stays zero instead of becoming NaN (spec. trap 1)."""
    return values / per_row(norms.clamp_min(torch.finfo(values.dtype).tiny), values)


def normalise(values: Tensor, how: Normaliser) -> Tensor:
    """Return the sign of each row, or the row divided by one of its norms."""
    if how == "sign":
        return values.sign()
    return divide(values, _NORMS[how](values))
