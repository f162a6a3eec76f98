"""What an objective is (specification 0.2)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import ClassVar

from torch import Tensor

from gauntlet.pipeline.attacks.part import Part, Place
from gauntlet.pipeline.attacks.surrogate import Forward, Known, Surrogate
from gauntlet.pipeline.batch import Batch, Goal, Task
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.models.heads import Heads


class Objective(Part):
    """The scalar of each example that the attack raises: always maximised (specification 0.2)."""

    place: ClassVar[Place] = Place.OBJECTIVE
    tasks: ClassVar[frozenset[Task]] = frozenset()
    drawn: ClassVar[bool] = False
    """Whether `prepare` draws random numbers: its result then belongs to one attack."""

    @property
    def layers(self) -> tuple[str | None, ...]:
        """Names of the layers that it reads; None for the network's default layer."""
        return ()

    @property
    def trained_heads(self) -> Heads | None:
        """The heads on a layer that must be trained before it can be asked, or None."""
        return None

    @property
    def passes_before(self) -> float:
        """Forward and backward passes of each model for `prepare`, once for a batch."""
        return 0.0

    @abstractmethod
    def prepare(self, model: Surrogate, batch: Batch, draws: Draws) -> Known:
        """Return what the objective needs to know of each example, once per batch and model.

        Args:
            model: the surrogate.
            batch: B examples.
            draws: one random stream per example.
        """

    @abstractmethod
    def of_outputs(self, outputs: Tensor, known: Known, goal: Goal) -> Tensor:
        """Return J of each row, (R,), from the model's outputs (R, C)."""

    def terms(self, points: Tensor, known: Known, goal: Goal, forward: Forward) -> Iterator[Tensor]:
        """Yield pieces, (rows,) each, whose sum is J.

        Each piece is differentiated, and its graph freed, before the next is asked for.

        Args:
            points: (rows, 3, H, W) in canonical space.
            known: what `prepare` returned, for each row.
            goal: what the attacker wants.
            forward: asks the surrogate.
        """
        yield self.of_outputs(forward(points), known, goal)

    def stationary(self, batch: Batch) -> Tensor | None:
        """Return the examples at whose own image J has no gradient, bool (B,), or None for none.

        Known beforehand, because what floating point leaves of the gradient looks like one.
        """
        return None

    def guide(self) -> Mapping[str, object] | None:
        """Return fields of an attack whose result `prepare` needs as ``batch.guide``, or None."""
        return None


def towards(goal: Goal) -> float:
    """Return +1 when the goal is to agree with what is known of an example, -1 to disagree."""
    return 1.0 if goal in (Goal.TARGETED, Goal.IMPERSONATION) else -1.0
