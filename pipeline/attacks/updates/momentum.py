"""MI and NI: momentum, and momentum that looks ahead (specification 2.2)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from gauntlet.pipeline.attacks.part import Choice, register
from gauntlet.pipeline.attacks.step import Step
from gauntlet.pipeline.attacks.updates.update import Update
from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.norms import by_rows, divide, l2, mabs


@register
class Momentum(Update):
    """MI: m <- mu m + d / mean|d|; the step follows m.

    The paper divides by the l1 norm; most code, and we, by the mean absolute value: the factor N
    cancels under the step's own normalisation, and only so does NI look ahead at all.
    """

    token = "mi"
    paper = "Dong 2018"
    random = False
    mu: float = Field(1.0, ge=0)
    """Decay factor; 0.4 is the default with rgea, 1 otherwise."""
    norm: Literal["mabs", "l1"] = "mabs"
    """What divides d: `l1` is the paper's form."""

    def remember(self, direction: Tensor, memory: Tensor | None) -> Tensor:
        """Return the accumulated direction."""
        if memory is None:
            return by_rows(self._unit, direction)
        return by_rows(lambda kept, new: self.mu * kept + self._unit(new), memory, direction)

    def _unit(self, direction: Tensor) -> Tensor:
        norms = mabs(direction)
        if self.norm == "l1":
            norms = norms * direction[0].numel()
        return divide(direction, norms)


@register
class Nesterov(Momentum):
    """NI: momentum, asked at the look-ahead point x + alpha mu m; x itself steps from x.

    Under an l2rms step m is scaled to l2rms(m) = 1 first, so that the look-ahead is one step long.
    The look-ahead point is not projected, as in all code.
    """

    token = "ni"
    paper = "Lin 2020"
    random = False
    needs = "sign or l2rms steps"

    def objection(self, choice: Choice, goal: Goal | None) -> str | None:
        """Refuse steps that the look-ahead could not be as long as."""
        if choice.normaliser in ("sign", "l2rms"):
            return None
        return "ni looks ahead only under `normalise: sign` or `l2rms`"

    def query_point(self, points: Tensor, memory: Tensor | None, step: Step) -> Tensor:
        """Return the look-ahead point."""
        if memory is None or self.mu == 0:
            return points
        if step.normalise == "l2rms":
            memory = divide(memory, l2(memory) / memory[0].numel() ** 0.5)
        return points + step.size * self.mu * memory
