"""The Hessian of an objective on a network that is taken as linear around a point."""

from __future__ import annotations

import torch
from torch import Tensor

from gauntlet.pipeline.attacks.objectives.objective import Objective
from gauntlet.pipeline.attacks.surrogate import Known
from gauntlet.pipeline.batch import Goal


class Expansion:
    """H = W B W^T: W^T the network's Jacobian, B the objective's Hessian in the outputs.

    Both are those of the point of expansion, and differentiable towards it. They are never formed:
    each product takes one or two passes through the graph of the outputs.
    """

    def __init__(
        self, points: Tensor, outputs: Tensor, known: Known, goal: Goal, objective: Objective
    ) -> None:
        """Take the outputs' graph at a point.

        Args:
            points: where to expand, (rows, 3, H, W).
            outputs: there, (rows, C).
            known: what the objective knows of each row.
            goal: what the attacker wants.
            objective: a function of the outputs that is not piecewise linear.
        """
        self._points, self._outputs = points, outputs
        # The backward pass is linear in its cotangent: its derivative there is the forward map.
        self._cotangent = torch.zeros_like(outputs).requires_grad_()
        (self._pulled,) = torch.autograd.grad(outputs, points, self._cotangent, create_graph=True)
        value = objective.of_outputs(outputs, known, goal).sum()
        (self._slope,) = torch.autograd.grad(value, outputs, create_graph=True)

    def product(self, move: Tensor) -> Tensor:
        """Return H move without a graph, (rows, 3, H, W)."""
        (along,) = torch.autograd.grad(self._pulled, self._cotangent, move, retain_graph=True)
        (bent,) = torch.autograd.grad(self._slope, self._outputs, along, retain_graph=True)
        (pushed,) = torch.autograd.grad(self._outputs, self._points, bent, retain_graph=True)
        return pushed

    def curvature(self, move: Tensor) -> Tensor:
        """Return move^T H move, (rows,), differentiable towards the move and the point."""
        (along,) = torch.autograd.grad(self._pulled, self._cotangent, move, create_graph=True)
        (bent,) = torch.autograd.grad(self._slope, self._outputs, along, create_graph=True)
        return (along * bent).sum(1)
