"""IR with the paper's own estimator of the mean interaction (specification 2.8, 3.3)."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field, model_validator
from torch import Tensor

from gauntlet.pipeline.attacks.part import register
from gauntlet.pipeline.attacks.penalties.cell_sets import single_cells
from gauntlet.pipeline.attacks.penalties.reduced import InteractionReduced
from gauntlet.pipeline.draws import Draws


@register
class MeanInteraction(InteractionReduced):
    """J - lambda_mean / (n (n-1)) * sum_a [v(Omega) - v(Omega minus a) - v(a) + v(empty)].

    The sum over the n cells a is the sum of the interactions of all ordered pairs (Eq. 12), exact
    by default. Much noisier per pass than `ir` when cells are sampled.
    """

    token = "ir-mean"
    paper = "Interaction paper, Eqs. 12 and 16"
    cost: ClassVar[str] = "(2 samples + 1) k"
    lambda_mean: float = Field(6805.0, ge=0)
    """Weight of the mean over pairs, lambda on the scale of Eq. 16; 6805 is 1 on the scale of the
    official code with 32 of 256 cells (`gauntlet.pipeline.interactions.scales.lambda_scale`)."""
    samples: int | None = Field(None, ge=1)
    """Cells at each step, drawn without replacement; all of them by default."""

    @model_validator(mode="after")
    def _enough_cells(self) -> MeanInteraction:
        if self.samples is not None and self.samples >= self.cells_in_all:
            raise ValueError(
                f"samples must be below the grid's {self.cells_in_all} cells, got {self.samples}; "
                "leave it out to take them all"
            )
        return self

    @property
    def passes(self) -> float:
        """With and without each cell, and the point itself."""
        return 2.0 * (self.samples or self.cells_in_all) + 1.0

    @property
    def weight(self) -> float:
        """What multiplies the mean set term: its sum over cells is n times it."""
        return self.lambda_mean / (self.cells_in_all - 1)

    def coalitions(self, draws: Draws, device: torch.device) -> Tensor:
        """Return the cell of each set, bool (rows, samples or n, n)."""
        return single_cells(draws, self.cells_in_all, self.samples, device)
