"""What the feature-level objectives have in common (METHODS 2.6)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from pipeline.attacks.query import Known, Objective
from pipeline.batch import Goal


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

    def of_outputs(self, outputs: Tensor, known: Known, goal: Goal) -> Tensor:
        """Raise: the objective is not a function of the outputs."""
        raise TypeError(f"{self.token!r} is an objective on features, not on outputs")
