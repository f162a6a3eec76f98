"""The interaction term alone: lambda = infinity (specification 2.8)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from gauntlet.pipeline.attacks.objectives.objective import Objective
from gauntlet.pipeline.attacks.part import Choice, Place, register
from gauntlet.pipeline.attacks.penalties.cell_sets import unions
from gauntlet.pipeline.attacks.penalties.interaction import (
    InteractionPenalty,
    outputs_of_clean,
    unmoved,
)
from gauntlet.pipeline.attacks.surrogate import Forward, Known
from gauntlet.pipeline.batch import Goal, Task
from gauntlet.pipeline.draws import Draws


@register
class InteractionOnly(InteractionPenalty):
    """-1 * mean set term of `ir`, without the objective.

    At delta = 0 the gradient is exactly zero, and what floating point leaves of it is rounding
    noise, whose sign the official code follows. So this attack starts at a random point, and takes
    the gradient at delta = 0 for the zero that it is.
    """

    token = "interaction-only"
    paper = "Interaction paper, Fig. 4b"
    cost: ClassVar[str] = "(2 sets + 1) k"
    needs: ClassVar[str] = "a random start: pgd"
    sets: int = Field(32, ge=1)
    """Sets at each step."""
    cells: int = Field(32, ge=1)
    """Cells drawn for each set, with replacement."""
    official_start: bool = False
    """Start at the clean image, as the official code does; with `guard` it stays there."""
    guard: bool = True
    """Take the gradient at delta = 0 for zero. Without, the first step goes along the sign of
    rounding noise, which depends on library, device and batch size."""

    @property
    def passes(self) -> float:
        """With and without each set, and the point itself."""
        return 2.0 * self.sets + 1.0

    def objection(self, choice: Choice, goal: Goal | None) -> str | None:
        """Return why the penalty cannot take part in an attack, or None."""
        starts = choice.has(Place.START)
        if not starts and not self.official_start:
            return (
                "interaction-only has no gradient at the clean image: add pgd to the base "
                "(or set 'official_start', to see what the official code does)"
            )
        if starts and (self.official_start or not self.guard):
            return "interaction-only: official_start and guard have no effect on a random start"
        if choice.objective is not None and goal is not None:
            default = "margin" if goal.task is Task.CLASSIFICATION else "loss"
            if (chosen := self.utility or default) != "loss":
                return (
                    f"interaction-only: objective {choice.objective.token!r} has no effect, the "
                    f"utility is the {chosen}; leave it out, or set "
                    "options.interaction-only.utility: loss"
                )
        return super().objection(choice, goal)

    def coalitions(self, draws: Draws, device: torch.device) -> Tensor:
        """Return the cells of each set, bool (rows, sets, n)."""
        return unions(draws, self.cells_in_all, self.sets, self.cells, device)

    def terms(
        self,
        points: Tensor,
        known: Known,
        goal: Goal,
        forward: Forward,
        objective: Objective,
        draws: Draws,
    ) -> Iterator[Tensor]:
        """Yield the pieces of -I."""
        outputs, empty = forward(points), outputs_of_clean(known, forward)
        still = unmoved(points, known) & self.guard
        pieces = self.interactions(
            points, outputs, empty, known, goal, objective, draws, forward, forward.room
        )
        for piece in pieces:
            yield torch.where(still, 0.0, -piece)
