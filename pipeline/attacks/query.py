"""What is asked of a model at a point."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from gauntlet.pipeline.attacks.filters.filter import Filter
from gauntlet.pipeline.attacks.objectives.objective import Objective
from gauntlet.pipeline.attacks.penalties.penalty import Penalty
from gauntlet.pipeline.attacks.surgery.surgery import Surgery
from gauntlet.pipeline.attacks.surrogate import Forward, Known
from gauntlet.pipeline.attacks.views.view import View
from gauntlet.pipeline.batch import Goal


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
