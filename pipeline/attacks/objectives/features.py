"""What the feature-level objectives have in common (specification 2.6)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from gauntlet.pipeline.attacks.objectives.objective import Objective
from gauntlet.pipeline.attacks.surrogate import Known
from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.norms import l2

_ROUNDING = 16
"""Differences of features up to this many machine epsilons of their length are rounding."""


def distance(features: Tensor, fixed: Tensor) -> Tensor:
    """Return |f - f_0|_2 of each row, (R,), of two activations (R, F).

    It is a constant zero where rounding alone tells them apart, as for one image in batches of
    different size: the direction of such a difference means nothing, and as a gradient of length 1
    would be all that the attack follows.
    """
    apart = torch.linalg.vector_norm(features - fixed, dim=1)
    rounding = _ROUNDING * torch.finfo(fixed.dtype).eps * l2(fixed)
    return torch.where(apart > rounding, apart, 0.0)


class FeatureObjective(Objective):
    """An objective on f(x), the activation of one layer, flattened per example.

    The forward pass may stop at the layer. Embeddings and logits of different networks can be
    fused, their features cannot: the rules that fuse outputs refuse these objectives.
    """

    fusable: ClassVar[bool] = False
    cost: ClassVar[str] = "k (to the layer)"
    layer: str | None = None
    """Name of the layer, such as `layer2`; by default the one that the network's family is attacked
    at. With surrogates of several families, leave it out or give each family its own attack."""

    @property
    def layers(self) -> tuple[str | None, ...]:
        """The layer."""
        return (self.layer,)

    def of_outputs(self, outputs: Tensor, known: Known, goal: Goal) -> Tensor:
        """Raise: the objective is not a function of the outputs."""
        raise TypeError(f"{self.token!r} is an objective on features, not on outputs")
