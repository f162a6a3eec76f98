"""What a combination rule is: k answers in, one direction out, per example."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from gauntlet.pipeline.attacks.ask import Ask
from gauntlet.pipeline.attacks.combine.gram import Rows
from gauntlet.pipeline.attacks.part import Choice, Part, Place
from gauntlet.pipeline.attacks.step import Step
from gauntlet.pipeline.batch import Goal, Task
from gauntlet.pipeline.norms import Normaliser


@dataclass(frozen=True)
class Direction:
    """Where to go, and what the traces keep of how it was found.

    Attributes:
        direction: ascent direction, (B, 3, H, W).
        values: objective of each surrogate, (B, k); NaN where the rule does not learn it.
        weights: weight of each surrogate, (B, k); NaN where the rule has none.
        fallback: examples for which the rule had to use another one, bool (B,).
    """

    direction: Tensor
    values: Tensor
    weights: Tensor
    fallback: Tensor | None = None


class Rule(Part):
    """Combines the surrogates' answers at a point into one direction."""

    place: ClassVar[Place] = Place.COMBINE
    normalise: ClassVar[Normaliser] = "sign"
    """What the papers put before the step size; a job may choose another."""
    mu: ClassVar[float] = 1.0
    """Default decay factor of a momentum that follows this rule."""
    tasks: ClassVar[frozenset[Task]] = frozenset(Task)

    @property
    def fuses_outputs(self) -> bool:
        """Whether it fuses the surrogates' outputs: then the objective must be one of outputs."""
        return False

    def objection(self, choice: Choice, goal: Goal | None) -> str | None:
        """Refuse parts that need each surrogate's own outputs, where outputs are fused."""
        unfit = [part.token for part in choice.parts if not part.fusable]
        if not (self.fuses_outputs and unfit):
            return None
        return (
            f"{self.token!r} fuses outputs, and {', '.join(unfit)} needs each surrogate's "
            "own; use 'ens' or another rule that combines gradients"
        )

    @abstractmethod
    def direction(self, points: Tensor, ask: Ask, step: Step) -> Direction:
        """Return the ascent direction at ``points`` (B, 3, H, W).

        Args:
            points: where the attack stands.
            ask: asks the surrogates, as often as the rule needs.
            step: the attack's step and ball, for rules with an inner loop.
        """


class GradientRule(Rule):
    """A rule that needs one answer of each surrogate and nothing else."""

    def direction(self, points: Tensor, ask: Ask, step: Step) -> Direction:
        """Ask every surrogate once and combine."""
        answers = ask(points)
        gradients = [gradient.flatten(1) for gradient in answers.gradients]
        combined, weights, fallback = self.combine(gradients)
        return Direction(
            combined.reshape(points.shape), answers.values.T, weights.to(points.dtype), fallback
        )

    @abstractmethod
    def combine(self, gradients: Rows) -> tuple[Tensor, Tensor, Tensor | None]:
        """Combine the gradients of each example.

        Args:
            gradients: k of (B, N), the oracle's own: never to be written.

        Returns:
            The direction (B, N), the weights (B, k) of the surrogates' (unit or raw) gradients,
            and which examples fell back to another rule (or None).
        """
