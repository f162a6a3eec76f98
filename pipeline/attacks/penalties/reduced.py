"""The interaction-reduced objective J - weight * I, whatever estimates I (specification 2.8)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from gauntlet.pipeline.attacks.objectives.objective import Objective
from gauntlet.pipeline.attacks.part import Choice, Place
from gauntlet.pipeline.attacks.penalties.interaction import (
    CLEAN_OUTPUTS,
    EXAMPLE,
    InteractionPenalty,
    outputs_of_clean,
    unmoved,
)
from gauntlet.pipeline.attacks.surgery.surgery import Surgery
from gauntlet.pipeline.attacks.surrogate import Forward, Known
from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.draws import Draws


class InteractionReduced(InteractionPenalty):
    """J - weight * I; one pass at x + delta serves both J and v(Omega).

    I and its gradient are zero at delta = 0, and taken for that.
    """

    noise: Literal["noisy", "clean-sum"] = "noisy"
    """With views such as `vr`. `noisy`: interactions on every view, all averaged (Eq. 333);
    `clean-sum`: the objective summed over the views, interactions once and without them (official
    code)."""

    @property
    @abstractmethod
    def weight(self) -> float:
        """What multiplies I in the units of the set term."""

    def objection(self, choice: Choice, goal: Goal | None) -> str | None:
        """Return why the penalty cannot take part in an attack, or None."""
        if self.noise == "clean-sum":
            if not choice.has(Place.VIEW):
                return f"{self.token}: 'noise: clean-sum' has no effect without a view such as vr"
            if any(isinstance(part, Surgery) and part.randomised for part in choice.parts):
                return f"{self.token}: 'noise: clean-sum' needs a surgery without random draws"
        return super().objection(choice, goal)

    def terms(
        self,
        points: Tensor,
        known: Known,
        goal: Goal,
        forward: Forward,
        objective: Objective,
        draws: Draws,
    ) -> Iterator[Tensor]:
        """Yield the pieces of J - weight * I."""
        outputs = forward(points)
        raised = objective.of_outputs(outputs, known, goal)
        if self.noise == "clean-sum":
            # The caller divides the sum over the view copies by their number.
            yield forward.copies * raised
            if forward.first:
                for piece in self._once(points, known, goal, forward, objective, draws):
                    yield -forward.copies * self.weight * piece
            return
        empty = outputs_of_clean(known, forward)
        pieces = self.interactions(
            points, outputs, empty, known, goal, objective, draws, forward, forward.room
        )
        still = unmoved(points, known)
        yield raised - self.weight * torch.where(still, 0.0, next(pieces))
        for piece in pieces:
            yield -self.weight * torch.where(still, 0.0, piece)

    def _once(
        self,
        points: Tensor,
        known: Known,
        goal: Goal,
        forward: Forward,
        objective: Objective,
        draws: Draws,
    ) -> Iterator[Tensor]:
        """Yield I without the views in the rows of the first view copy, zero in the others."""
        position = known[EXAMPLE]
        copies = int((position == position[0]).sum())
        rows = len(points) // copies
        own, alone = points[:rows], {key: value[:rows] for key, value in known.items()}
        pieces = self.interactions(
            own,
            forward.bare(own),
            alone[CLEAN_OUTPUTS],
            alone,
            goal,
            objective,
            draws.rows(torch.arange(rows)),
            forward.bare,
            forward.room * copies,
        )
        still = unmoved(own, alone)
        for piece in pieces:
            once = torch.where(still, 0.0, piece)
            yield torch.cat([once, once.new_zeros(len(points) - rows)])
