"""What travels to a model, and what comes back (architecture 2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from gauntlet.pipeline.attacks.filters.filter import Filter
from gauntlet.pipeline.attacks.objectives.objective import Objective
from gauntlet.pipeline.attacks.penalties.penalty import Penalty
from gauntlet.pipeline.attacks.surgery.surgery import Surgery
from gauntlet.pipeline.attacks.surrogate import Forward, Known
from gauntlet.pipeline.attacks.views.view import View
from gauntlet.pipeline.batch import Batch, Goal
from gauntlet.pipeline.draws import Draws


@dataclass(frozen=True)
class Query:
    """What is asked of a model at a point: views, objective, gradient filters."""

    objective: Objective
    views: tuple[View, ...] = ()
    filters: tuple[Filter, ...] = ()
    surgeries: tuple[Surgery, ...] = ()
    penalty: Penalty | None = None

    @property
    def copies(self) -> list[tuple[int, ...]]:
        """The index of every view of an image, in every view part."""
        indexes: list[tuple[int, ...]] = [()]
        for view in self.views:
            indexes = [(*index, copy) for index in indexes for copy in range(view.copies)]
        return indexes

    @property
    def deterministic(self) -> bool:
        """Whether equal images always get equal answers."""
        return not self.views and not any(surgery.randomised for surgery in self.surgeries)

    def terms(self, points: Tensor, known: Known, goal: Goal, forward: Forward) -> Iterator[Tensor]:
        """Yield the pieces of what the attack raises, penalty included; see `Objective.terms`."""
        if self.penalty is None:
            return self.objective.terms(points, known, goal, forward)
        return self.penalty.terms(points, known, goal, forward, self.objective, forward.draws)


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
