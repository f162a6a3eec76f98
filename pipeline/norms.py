"""Norms of single examples, and the guards that keep a zero gradient zero (specification 0.3).

Every function takes a tensor (B, ...) and reduces each row on its own: nothing here ever mixes two
examples of a batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

CHUNK = 16384
"""Entries of a row that are turned to float64 at a time, so that they stay in the cache. Fixed, so
that a row adds up in one order whatever travels with it."""

Normaliser = Literal["sign", "l2rms", "l2", "mabs", "linf"]


def per_row(values: Tensor, like: Tensor) -> Tensor:
    """Reshape (B,) so that it broadcasts against ``like`` (B, ...)."""
    return values.reshape(-1, *([1] * (like.ndim - 1)))


def l2(values: Tensor) -> Tensor:
    """Euclidean norm of each row, (B,), accumulated in float64."""
    flat = values.flatten(1)
    squares = torch.zeros(len(flat), dtype=torch.float64, device=flat.device)
    for piece in torch.split(flat, CHUNK, dim=1):
        squares = squares + piece.double().square().sum(1)
    return squares.sqrt().to(values.dtype)


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
