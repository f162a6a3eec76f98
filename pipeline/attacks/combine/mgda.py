"""MGDA on unit gradients: the shortest convex combination (specification 2.4)."""

from __future__ import annotations

from itertools import combinations
from typing import ClassVar

import torch
from torch import Tensor

from gauntlet.pipeline.attacks.combine.gram import Rows, Units
from gauntlet.pipeline.attacks.combine.rule import GradientRule
from gauntlet.pipeline.attacks.part import register
from gauntlet.pipeline.norms import Normaliser

ENUMERATE_UP_TO = 8
"""Up to this many gradients all 2^k - 1 supports are tried at once; beyond, Wolfe's algorithm."""


def _affine_minimum(matrix: Tensor, support: tuple[int, ...]) -> Tensor:
    """Return argmin c^T A c with sum c = 1 and c zero off the support, (B, k); NaN if singular."""
    index = torch.tensor(support, device=matrix.device)
    size = len(support)
    system = matrix.new_zeros(len(matrix), size + 1, size + 1)
    system[:, :size, :size] = matrix[:, index[:, None], index]
    system[:, :size, size] = system[:, size, :size] = 1.0
    right = matrix.new_zeros(len(matrix), size + 1)
    right[:, size] = 1.0
    solution, info = torch.linalg.solve_ex(system, right)
    residual = (system @ solution[..., None])[..., 0] - right
    sound = (info == 0) & (residual.abs().amax(1) < 1e-9)
    weights = matrix.new_zeros(len(matrix), matrix.shape[1])
    weights[:, index] = solution[:, :size]
    return torch.where(sound[:, None], weights, torch.nan)


def _enumerated(matrix: Tensor) -> Tensor:
    """Try every support: the minimum lies on one whose points are affinely independent."""
    k = matrix.shape[1]
    best = matrix.new_zeros(len(matrix), k)
    best[:, 0] = 1.0
    lowest = matrix[:, 0, 0].clone()
    for size in range(1, k + 1):
        for support in combinations(range(k), size):
            weights = _affine_minimum(matrix, support)
            feasible = (weights >= -1e-12).all(1)  # NaN compares false
            weights = weights.clamp_min(0)
            value = torch.einsum("bi,bij,bj->b", weights, matrix, weights)
            better = feasible & (value < lowest)
            best = torch.where(better[:, None], weights, best)
            lowest = torch.where(better, value, lowest)
    return best / best.sum(1, keepdim=True)


def _wolfe(matrix: Tensor, tolerance: float = 1e-12) -> Tensor:
    """Wolfe's minimum-norm-point algorithm (1976) on one Gram matrix (k, k); exact and finite."""
    k = len(matrix)
    weights = matrix.new_zeros(k)
    weights[int(matrix.diagonal().argmin())] = 1.0
    for _ in range(20 * k):
        inner = matrix @ weights
        value = float(weights @ inner)
        entering = int(inner.argmin())
        support = weights > 0
        if float(inner[entering]) >= value - tolerance or bool(support[entering]):
            break
        support[entering] = True
        while True:
            chosen = tuple(support.nonzero()[:, 0].tolist())
            target = _affine_minimum(matrix[None], chosen)[0]
            if bool(target.isnan().any()):
                # The entering point is affinely dependent on the others: nothing to gain.
                return weights
            if bool((target[support] > tolerance).all()):
                weights = target
                break
            falling = support & (target <= tolerance)
            gap = (weights - target)[falling].clamp_min(1e-300)
            reach = float((weights[falling] / gap).min().clamp_max(1.0))
            weights = (weights + reach * (target - weights)).clamp_min(0)
            leaving = falling & (weights <= tolerance)
            if not bool(leaving.any()):
                leaving = falling & (weights == weights[falling].min())
            weights[leaving] = 0.0
            support &= ~leaving
    return weights / weights.sum()


def simplex_weights(matrix: Tensor) -> Tensor:
    """Return argmin over the simplex of c^T A c for each A, exactly.

    Args:
        matrix: Gram matrices, (B, k, k), float64.

    Returns:
        Weights (B, k), non-negative, summing to 1.
    """
    if matrix.shape[1] <= ENUMERATE_UP_TO:
        return _enumerated(matrix)
    return torch.stack([_wolfe(single) for single in matrix])


@register
class Mgda(GradientRule):
    """d = sum_i c_i u_i with c = argmin over the simplex of |sum_i c_i u_i|^2 (RGEA, Problem 3).

    At a Pareto-stationary point d = 0 and the iterate stays, which is RGEA's criticism of it.
    A zero gradient has c_i = 0: it is data of no direction.
    """

    token = "mgda"
    paper = "Desideri 2012; RGEA, Problem 3"
    random = False
    cost = "k + a small quadratic programme"
    normalise: ClassVar[Normaliser] = "l2rms"

    def combine(self, gradients: Rows) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return d and c."""
        units = Units.of(gradients)
        matrix, silent = units.matrix, units.inverse == 0
        # A zero gradient would be the shortest combination by itself. As a unit vector orthogonal
        # to all others it takes nothing from them, and can be left out afterwards.
        weights = simplex_weights(matrix + torch.diag_embed(silent.to(matrix)))
        heard = weights.masked_fill(silent, 0.0)
        heard = heard / heard.sum(1, keepdim=True).clamp_min(torch.finfo(heard.dtype).tiny)
        weights = torch.where(silent.any(1, keepdim=True), heard, weights)
        return units.sum(weights), weights, None
