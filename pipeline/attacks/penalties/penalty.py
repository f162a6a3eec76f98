"""What a penalty is: something subtracted from the objective."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar

from torch import Tensor

from gauntlet.pipeline.attacks.objectives.objective import Objective
from gauntlet.pipeline.attacks.part import Part, Place
from gauntlet.pipeline.attacks.surrogate import Forward, Known, Surrogate
from gauntlet.pipeline.batch import Batch, Goal
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.interactions.cells import Grid


class Penalty(Part):
    """Wraps the objective: what it yields is the whole that the attack raises."""

    place: ClassVar[Place] = Place.PENALTY
    fusable: ClassVar[bool] = False
    drawn: ClassVar[bool] = False
    """Whether `prepare` draws random numbers: its result then belongs to one attack."""

    @property
    def cell_grid(self) -> Grid | None:
        """The cells that it divides images into, or None."""
        return None

    @property
    def passes(self) -> float:
        """Forward and backward passes of an answer, where the objective alone takes one."""
        return 1.0

    @abstractmethod
    def prepare(self, model: Surrogate, batch: Batch, draws: Draws) -> Known:
        """Return what the penalty needs to know of each example beside what the objective does."""

    @abstractmethod
    def terms(
        self,
        points: Tensor,
        known: Known,
        goal: Goal,
        forward: Forward,
        objective: Objective,
        draws: Draws,
    ) -> Iterator[Tensor]:
        """Yield pieces, (rows,) each, whose sum is the penalised objective.

        Args:
            points: (rows, 3, H, W).
            known: what the objective and the penalty know, for each row.
            goal: what the attacker wants.
            forward: asks the surrogate.
            objective: what is penalised.
            draws: one random stream per row, keyed by step, model and view copy.
        """
