"""RGEA: the relational graphs ensemble attack (specification 2.4)."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from gauntlet.pipeline.attacks.combine.gram import Rows, Units, mean
from gauntlet.pipeline.attacks.combine.rule import GradientRule
from gauntlet.pipeline.attacks.part import register
from gauntlet.pipeline.norms import Normaliser, per_row


def least_squares_weights(matrix: Tensor, rtol: float) -> Tensor:
    """Return the minimum-norm least-squares solution of A w = 1 for each A.

    Args:
        matrix: symmetric positive semi-definite, (B, k, k), float64.
        rtol: eigenvalues below rtol times the largest count as zero.
    """
    values, vectors = torch.linalg.eigh(matrix)
    keep = values > rtol * values[:, -1:].clamp_min(0)
    inverse = torch.where(keep, values.where(keep, 1.0).reciprocal(), 0.0)
    weights: Tensor = (vectors * (vectors.sum(1) * inverse)[:, None, :]).sum(2)
    return weights


@register
class Rgea(GradientRule):
    """The direction with equal inner product 1 with every surrogate's unit gradient.

    u_i = g_i / |g_i|_2, A = U U^T, A w = 1, d = sum_i w_i u_i; then x + alpha d / l2rms(d).
    Among all directions with equal cosines to the u_i this one has the largest. Weights may be
    negative. Near-duplicate gradients make A singular: eigenvalues below ``rtol`` of the largest
    are dropped, which gives w = A^+ 1. Where d vanishes (exactly opposed gradients), the example
    falls back to Ens-l2 in that step, and its trace says so.
    """

    token = "rgea"
    paper = "RGEA, Algorithm 1"
    random = False
    cost = "k + a k x k solve"
    normalise: ClassVar[Normaliser] = "l2rms"
    mu: ClassVar[float] = 0.4
    rtol: float = Field(1e-6, gt=0, lt=1)
    """Relative cut-off of the Gram matrix's eigenvalues."""

    def combine(self, gradients: Rows) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return d, w and the examples that fell back."""
        units = Units.of(gradients)
        matrix = units.matrix
        weights = least_squares_weights(matrix, self.rtol)
        # |d|^2 = w^T A w: no need to touch the pixels.
        length = torch.einsum("bi,bij,bj->b", weights, matrix, weights).clamp_min(0).sqrt()
        direction = units.sum(weights)
        fallback = length < 1e-9
        if not bool(fallback.any()):
            return direction, weights, fallback
        direction = torch.where(per_row(fallback, direction), mean(gradients), direction)
        return direction, weights, fallback
