"""Where the surrogates are asked, when that is not where the attack stands."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from gauntlet.pipeline.attacks.ask import Ask
from gauntlet.pipeline.attacks.combine.rule import Rule
from gauntlet.pipeline.attacks.part import Part, Place
from gauntlet.pipeline.attacks.query import Query
from gauntlet.pipeline.attacks.step import Step
from gauntlet.pipeline.draws import Draws


@dataclass(frozen=True)
class Iteration:
    """One pass through the loop, before the surrogates are asked.

    Attributes:
        t: index of the update, 0..steps - 1.
        steps: updates T of the attack.
        step: the attack's step and ball.
        ask: asks the surrogates the attack's own query.
        plain_query: the task's default objective under the attack's surgeries, with no views,
            penalty or filters.
        rule: how k answers become one direction.
    """

    t: int
    steps: int
    step: Step
    ask: Ask
    plain_query: Query
    rule: Rule

    def plain(self, draw: str) -> Ask:
        """Return what asks the plain query, with random draws called ``draw``."""
        return self.ask.with_query(self.plain_query, draw)

    def draws(self, purpose: str) -> Draws:
        """Return one stream per example for the part's own randomness."""
        return self.ask.draws(purpose)


class QueryPoint(Part):
    """Moves the point at which the surrogates are asked; the step is made from the old one."""

    place: ClassVar[Place] = Place.POINT

    @abstractmethod
    def move(self, points: Tensor, iteration: Iteration) -> Tensor:
        """Return where to ask instead of at ``points``, (B, 3, H, W)."""
