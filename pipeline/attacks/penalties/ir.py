"""IR: the interaction-reduced attack as its authors run it (specification 2.8)."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from gauntlet.pipeline.attacks.part import register
from gauntlet.pipeline.attacks.penalties.cell_sets import unions
from gauntlet.pipeline.attacks.penalties.reduced import InteractionReduced
from gauntlet.pipeline.draws import Draws


@register
class SetInteractions(InteractionReduced):
    """J - lambda_code * mean over sets of v(Omega) - v(Omega minus S) - v(S) + v(empty).

    Each set S is the union of `cells` cells drawn with replacement, afresh at every step. For a
    quadratic utility the mean set term is c times the sum of the interactions of all ordered pairs,
    c = 0.104 for 32 of 256 cells, so that lambda_code = 1 is 6805 on the scale of Eq. 16, the mean
    over pairs (`ir-mean`). At delta = 0 its gradient is zero: the first step is the base's.
    """

    token = "ir"
    paper = "Interaction paper, Eq. 16; official code"
    cost: ClassVar[str] = "(2 sets + 1) k"
    lambda_code: float = Field(1.0, ge=0)
    """Weight of the set term, lambda on the scale of the official code; the paper's 1 (ResNets) and
    2 (other networks) are on this scale."""
    sets: int = Field(32, ge=1)
    """Sets at each step."""
    cells: int = Field(32, ge=1)
    """Cells drawn for each set, with replacement."""

    @property
    def passes(self) -> float:
        """With and without each set, and the point itself."""
        return 2.0 * self.sets + 1.0

    @property
    def weight(self) -> float:
        """What multiplies I in the units of the set term."""
        return self.lambda_code

    def coalitions(self, draws: Draws, device: torch.device) -> Tensor:
        """Return the cells of each set, bool (rows, sets, n)."""
        return unions(draws, self.cells_in_all, self.sets, self.cells, device)
