"""The relaxed attack of the correlation study (specification 2.1)."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from gauntlet.pipeline.attacks.part import Choice, Place, register
from gauntlet.pipeline.attacks.step import Step
from gauntlet.pipeline.attacks.updates.update import Update
from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.norms import divide, l2, per_row

_SHARE = 1 / 50
"""Longest step by default, as a share of tau."""
_SHORT = 1e-4
"""Examples that end this far below tau, as a share of it, count as arrived (float32 noise)."""


@register
class Relaxed(Update):
    """Gradient ascent on J(x + delta) - c |delta|_p^p from delta = 0, until |delta|_2 = tau.

    delta <- box(delta + eta (d - c p |delta|^{p-1} sign(delta))), without sign or normalisation.
    tau is the attack's l2 budget. An example stops at the first |delta|_2 >= tau and is scaled back
    to exactly tau; one that has not come there after all updates has no result (``not reached``):
    with too large a c the penalty holds it below tau (on a linear J with p = 2 at |g| / (2c)).

    eta by default: tau / (50 max_{s <= t} |d_s|_2) of each example, d_s the directions so far; a
    step that the penalty makes longer than tau/50 is shortened to that. A given ``eta`` is constant
    and its steps are left as they are.
    """

    token = "relaxed"
    paper = "Interaction paper, 3.3"
    random = False
    needs = "l2 ball, no pgd"
    c: float = Field(0.0, ge=0)
    """Weight of the penalty; 0 is plain gradient ascent."""
    p: float = Field(2.0, gt=1)
    """Exponent of the penalty; the study has 2 and 5."""
    eta: float | None = Field(None, gt=0)
    """Constant step factor; found from the directions by default."""

    def objection(self, choice: Choice, goal: Goal | None) -> str | None:
        """Refuse another ball, and options of the attack that would not be read."""
        if choice.norm != "l2":
            return "relaxed stops on an l2 sphere: give `norm: l2`, and tau as `epsilon`"
        unread = [name for name in ("step_size", "normalise") if name in choice.given]
        if unread:
            return f"relaxed does not read {' and '.join(unread)}: its step is the option `eta`"
        if choice.has(Place.START):
            return "relaxed starts at the clean image: leave out `pgd`"
        return None

    def advance(
        self, points: Tensor, direction: Tensor, memory: Tensor | None, step: Step
    ) -> tuple[Tensor, Tensor]:
        """Return the next points and the memory.

        The memory is the largest |d|_2 of each example so far, (B,); infinite once it has arrived,
        which makes its steps zero.
        """
        tau = step.ball.epsilon
        delta = points - step.clean
        largest = l2(direction)
        if memory is not None:
            largest = torch.maximum(largest, memory)
        move = direction - self.c * self.p * delta.abs() ** (self.p - 1) * delta.sign()
        if self.eta is None:
            move = divide(move * (_SHARE * tau), largest)
            move = move * per_row((_SHARE * tau / l2(move).clamp_min(1e-30)).clamp_max(1), move)
        else:
            move = self.eta * move
        arrived = largest.isinf()
        moved = (points + move.masked_fill(per_row(arrived, move), 0)).clamp(0, 1)
        delta = moved - step.clean
        length = l2(delta)
        arrives = (length >= tau) & ~arrived
        scaled = step.clean + delta * per_row(tau / length.clamp_min(1e-30), delta)
        moved = torch.where(per_row(arrives, moved), scaled, moved)
        return moved, largest.masked_fill(arrives, torch.inf)

    def unreached(self, points: Tensor, step: Step) -> Tensor:
        """Return which examples have ended below tau, bool (B,)."""
        return l2(points - step.clean) < (1 - _SHORT) * step.ball.epsilon
