"""From direction to step: plain, momentum, look-ahead (METHODS 2.1, 2.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from pipeline.attacks.ball import Ball
from pipeline.attacks.norms import Normaliser, divide, l2, mabs, normalise
from pipeline.attacks.part import Part, Place, register

if TYPE_CHECKING:
    from pipeline.attacks.recipe import Attack
    from pipeline.batch import Goal


@dataclass(frozen=True)
class Stride:
    """How far and under which norm an attack moves, and where it may go.

    Attributes:
        ball: the allowed points.
        clean: centre of the ball, (B, 3, H, W).
        step_size: alpha, in [0, 1] units.
        normalise: what stands before alpha: the sign, or a norm that the direction is divided by.
    """

    ball: Ball
    clean: Tensor
    step_size: float
    normalise: Normaliser

    def step(self, points: Tensor, direction: Tensor, size: float | None = None) -> Tensor:
        """Return P(x + alpha normalise(d)), (B, 3, H, W)."""
        size = self.step_size if size is None else size
        return self.ball.project(points + size * normalise(direction, self.normalise), self.clean)


class Update(Part):
    """I-FGSM, BIM: x <- P(x + alpha normalise(d)), without memory.

    Other updates derive from it. Their memory is a tensor that the loop keeps for them.
    """

    place: ClassVar[Place] = Place.UPDATE
    token: ClassVar[str] = "i"
    paper: ClassVar[str] = "Kurakin 2017"

    def query_point(self, points: Tensor, memory: Tensor | None, stride: Stride) -> Tensor:
        """Return where the surrogates are asked, (B, 3, H, W)."""
        return points

    def remember(self, direction: Tensor, memory: Tensor | None) -> Tensor:
        """Return what the step follows, (B, 3, H, W); the loop hands it back as ``memory``."""
        return direction

    def advance(
        self, points: Tensor, direction: Tensor, memory: Tensor | None, stride: Stride
    ) -> tuple[Tensor, Tensor | None]:
        """Return the next points and the next memory."""
        memory = self.remember(direction, memory)
        return stride.step(points, memory), memory

    def unreached(self, points: Tensor, stride: Stride) -> Tensor | None:
        """Return which examples have no valid result after the last update, bool (B,)."""
        return None


register(Update)


@register
class Momentum(Update):
    """MI: m <- mu m + d / mean|d|; the step follows m.

    The paper divides by the l1 norm; most code, and we, by the mean absolute value: the factor N
    cancels under the step's own normalisation, and only so does NI look ahead at all.
    """

    token = "mi"
    paper = "Dong 2018"
    mu: float = Field(1.0, ge=0)
    """Decay factor; 0.4 is the default with rgea, 1 otherwise."""
    norm: Literal["mabs", "l1"] = "mabs"
    """What divides d: `l1` is the paper's form."""

    def remember(self, direction: Tensor, memory: Tensor | None) -> Tensor:
        """Return the accumulated direction."""
        norms = mabs(direction)
        if self.norm == "l1":
            norms = norms * direction[0].numel()
        unit = divide(direction, norms)
        return unit if memory is None else self.mu * memory + unit


@register
class Nesterov(Momentum):
    """NI: momentum, asked at the look-ahead point x + alpha mu m; x itself steps from x.

    Under an l2rms step m is scaled to l2rms(m) = 1 first, so that the look-ahead is one step long.
    The look-ahead point is not projected, as in all code.
    """

    token = "ni"
    paper = "Lin 2020"
    needs = "sign or l2rms steps"

    def query_point(self, points: Tensor, memory: Tensor | None, stride: Stride) -> Tensor:
        """Return the look-ahead point."""
        if memory is None or self.mu == 0:
            return points
        if stride.normalise == "l2rms":
            memory = divide(memory, l2(memory) / memory[0].numel() ** 0.5)
        return points + stride.step_size * self.mu * memory


@register
class RandomStart(Part):
    """PGD: the attack starts at a random point of the ball instead of at the clean image."""

    place: ClassVar[Place] = Place.START
    token = "pgd"
    paper = "Madry 2018"
    start: Literal["ball", "box", "sign"] = "ball"
    """`ball`: uniform in the linf ball; l2: a Gaussian direction of uniform radius. `box`, l2 only:
    a uniform image scaled to the sphere (official IR code). `sign`: all entries of equal size and
    random sign; with `steps: 0` the sign-noise floor of the tables."""

    def objection(self, attack: Attack, goal: Goal | None) -> str | None:
        """Refuse a start that the attack's norm does not have."""
        if self.start == "box" and attack.norm != "l2":
            return f"pgd: start 'box' is for the norm l2, not {attack.norm}"
        return None
