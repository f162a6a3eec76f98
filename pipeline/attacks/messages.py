"""What travels to a model, and what comes back (architecture 2)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gauntlet.pipeline.attacks.query import Query
from gauntlet.pipeline.batch import Batch
from gauntlet.pipeline.draws import Draws


@dataclass(frozen=True)
class Setting:
    """The circumstances of a question that are the same for all models and points of a step.

    Attributes:
        batch: the examples that are under attack.
        query: what is asked.
        seed: the run's seed.
        attack: the attack's label; keys the random draws.
        step: index of the update; keys the random draws.
        draw: tells apart several independent draws within one step (SVRE).
    """

    batch: Batch
    query: Query
    seed: int
    attack: str
    step: int
    draw: str = ""

    def draws(self, model: str, rows: Tensor | None) -> Draws:
        """Return one random stream per asked row, for the model called ``model``."""
        draws = Draws.keyed(
            self.seed,
            self.batch.ids,
            attack=self.attack,
            step=self.step,
            model=f"{model}#{self.draw}" if self.draw else model,
        )
        return draws if rows is None else draws.rows(rows)


@dataclass(frozen=True)
class Question:
    """One query of one model.

    Attributes:
        model: index of the model in the oracle.
        points: where to ask, (R, 3, H, W).
        rows: which examples of the batch the points belong to, int64 (R,); all when None.
    """

    model: int
    points: Tensor
    rows: Tensor | None = None


@dataclass(frozen=True)
class Answer:
    """What a model says at its points.

    Attributes:
        values: J, mean over the views, (R,).
        gradient: dJ/dx in canonical space, (R, 3, H, W).
    """

    values: Tensor
    gradient: Tensor

    @property
    def finite(self) -> Tensor:
        """Which rows are usable, bool (R,): one reduction, since sums keep NaN and infinity."""
        return torch.isfinite(self.values) & torch.isfinite(self.gradient.flatten(1).sum(1))
