"""SVRE: stochastic variance reduced ensemble (specification 2.4)."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from gauntlet.pipeline.attacks.ask import Ask
from gauntlet.pipeline.attacks.combine.ens import EnsLogits
from gauntlet.pipeline.attacks.combine.gram import mean
from gauntlet.pipeline.attacks.combine.rule import Direction, Rule
from gauntlet.pipeline.attacks.part import register
from gauntlet.pipeline.attacks.step import Step
from gauntlet.pipeline.norms import by_rows, divide, mabs
from gauntlet.pipeline.spec import Quantity


def _mean_abs(values: Tensor) -> Tensor:
    return by_rows(lambda some: divide(some, mabs(some)), values)


@register
class Svre(Rule):
    """An inner loop of variance-reduced single-model steps from x; its momentum is the direction.

    y_0 = x, M_0 = 0; for m < inner: draw a surrogate r uniformly,
    q = grad J_r(y_m) - (grad J_r(x) - g_ens), M <- mu M + q, y <- P(y + beta n(M)), n the attack's
    own normaliser: the sign by default, M / l2rms(M) in an l2 ball. The direction is M; the outer
    momentum is the attack's own (``mi`` in its base). The ball of y is the one around the clean
    image. Each example draws its own surrogates.
    """

    token = "svre"
    paper = "Xiong 2022"
    cost = "k + inner = 5k; inner more unless draws: shared, k more with fusion: logits"
    inner: Annotated[int | None, Field(ge=1)] = None
    """Inner steps; 4 k by default."""
    beta: Annotated[Quantity | None, Field(gt=0)] = None
    """Inner step size; the attack's step size by default."""
    momentum: float = Field(1.0, ge=0)
    """mu2, decay of the inner momentum; 0 is the plain inner step."""
    normalised: bool = True
    """Divide q and M by their mean absolute value before they are accumulated (official code)."""
    fusion: Literal["loss", "logits"] = "loss"
    """How g_ens is fused; only `loss` makes the mean of q the mean gradient at y."""
    biased: bool = False
    """Must be set with `fusion: logits`: the official code's estimator is biased."""
    draws: Literal["shared", "pair", "separate"] = "shared"
    """Random views: one draw per surrogate and step, whose clean gradient is cached; one draw per
    pair of gradients; or a draw of its own for each of the two (official code)."""

    @model_validator(mode="after")
    def _knowingly(self) -> Svre:
        if (self.fusion == "logits") != self.biased:
            raise ValueError("`fusion: logits` and `biased: true` go together")
        return self

    @property
    def fuses_outputs(self) -> bool:
        """Whether g_ens is that of the fused logits."""
        return self.fusion == "logits"

    def direction(self, points: Tensor, ask: Ask, step: Step) -> Direction:
        """Return the inner loop's final momentum."""
        start = ask(points)
        clean, k = torch.stack(start.gradients), ask.models
        if self.fusion == "logits":
            ensemble = ask.fused(points, EnsLogits.fuse).gradient
        else:
            ensemble = mean(start.gradients)
        inner = self.inner or 4 * k
        chosen = ask.draws("svre").integers("surrogate", 0, k, (inner,))
        examples = torch.arange(len(points), device=points.device)
        inner_point, memory = points, torch.zeros_like(points)
        for m in range(inner):
            there = "" if self.draws == "shared" else f"svre/{m}"
            here = f"{there}/x" if self.draws == "separate" else there
            if here:
                reference = ask.each(points, chosen[:, m], here).gradient
            else:
                reference = clean[chosen[:, m].to(points.device), examples]
            reduced = ask.each(inner_point, chosen[:, m], there).gradient - reference + ensemble
            if self.normalised:
                reduced = _mean_abs(reduced)
            memory = self.momentum * memory + reduced
            if m < inner - 1:
                inner_point = step.take(inner_point, memory, self.beta)
        counts = torch.nn.functional.one_hot(chosen, k).sum(1) / inner
        direction = _mean_abs(memory) if self.normalised else memory
        return Direction(direction, start.values.T, counts.to(points))
