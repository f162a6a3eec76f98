"""Updates of weights."""

from __future__ import annotations

import math
from typing import Literal

import pytest
import torch

from gauntlet.pipeline.training.descent import descend, half_cosine, make_optimiser


def leaf(*values: float) -> torch.Tensor:
    return torch.tensor(values, requires_grad=True)


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_matrices_decay_and_vectors_do_not(kind: Literal["sgd", "adamw"]) -> None:
    matrix, vector = torch.ones(2, 2, requires_grad=True), torch.ones(2, requires_grad=True)
    optimiser = make_optimiser(kind, [matrix, vector], 0.5, 0.1)
    descend(optimiser, [matrix, vector], 0 * (matrix.sum() + vector.sum()), 0.5)
    assert torch.allclose(matrix, torch.tensor(0.95))
    assert torch.equal(vector, torch.ones(2))


def test_the_gradient_of_all_parameters_is_clipped_together() -> None:
    first, second, unused = leaf(0.0), leaf(0.0), leaf(7.0)
    parameters = [first, second, unused]
    optimiser = make_optimiser("sgd", parameters, 1.0, 0.0)
    descend(optimiser, parameters, (3 * first + 4 * second).sum(), 0.1, clip=1.0)
    assert [float(value.detach()) for value in parameters] == pytest.approx([-0.06, -0.08, 7.0])
    assert all(parameter.grad is None for parameter in parameters)
    loose = leaf(0.0)
    descend(make_optimiser("sgd", [loose], 1.0, 0.0), [loose], (3 * loose).sum(), 0.1, clip=5.0)
    assert float(loose.detach()) == pytest.approx(-0.3)


def test_a_fused_update_survives_a_gradient_that_lies_otherwise_in_memory() -> None:
    found = []
    for fused in (False, True):
        weights = (torch.arange(6.0).reshape(2, 3) / 10).requires_grad_()
        slope = torch.arange(6.0).reshape(3, 2).cos()
        loss = (weights.t() * slope).sum()
        assert torch.autograd.grad(loss, weights, retain_graph=True)[0].stride() == (1, 2)
        descend(make_optimiser("adamw", [weights], 1.0, 0.1, fused=fused), [weights], loss, 0.1)
        found.append(weights.detach())
    torch.testing.assert_close(*found)


def test_the_rate_falls_as_half_a_cosine() -> None:
    rates = [half_cosine(2.0, math.pi * share) for share in (0, 1 / 3, 1 / 2, 1)]
    assert rates == pytest.approx([2.0, 1.5, 1.0, 0.0])
