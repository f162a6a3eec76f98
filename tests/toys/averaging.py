"""A rule that breaks a law: what it makes of an example depends on the others of the batch."""

from __future__ import annotations

from torch import Tensor

from gauntlet.parts import GradientRule, mean, register
from gauntlet.pipeline.attacks.combine.gram import Rows


@register
class Averaging(GradientRule):
    """The mean over the models, and over the batch."""

    token = "averaging"

    def combine(self, gradients: Rows) -> tuple[Tensor, Tensor, Tensor | None]:
        found = mean(gradients)
        weights = found.new_full((len(found), len(gradients)), 1 / len(gradients))
        return found + found.mean(0), weights, None
