"""IR in closed form: the curvature of the objective along the perturbation (beyond the paper)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from gauntlet.pipeline.attacks.objectives.objective import Objective
from gauntlet.pipeline.attacks.part import Choice, register
from gauntlet.pipeline.attacks.penalties.expansion import Expansion
from gauntlet.pipeline.attacks.penalties.interaction import CLEAN, no_outputs
from gauntlet.pipeline.attacks.penalties.penalty import Penalty
from gauntlet.pipeline.attacks.surgery.surgery import Surgery
from gauntlet.pipeline.attacks.surrogate import Forward, Known, Surrogate
from gauntlet.pipeline.batch import Batch, Goal
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.interactions.cells import Grid

_SIDE = 16


@register
class ClosedForm(Penalty):
    """J - lambda_sum * delta^T H delta, H = W B W^T: B is J's Hessian in the outputs, W^T = dh/dx.

    delta^T H delta is the sum of the interactions of all ordered pairs of units, each with itself
    included (Lemma 2). On piecewise-linear networks H is the Hessian (Corollary 2); for cross-
    entropy delta^T H delta is the variance of (W^T delta)_y over classes y drawn from the softmax.
    It takes a few passes a step instead of two per set. lambda_sum = 1/2 cancels the curvature of J
    between the point of expansion and x + delta. For a quadratic utility lambda_code = 1 of `ir` is
    lambda_sum = 0.104 (32 of 256 cells) with the self terms removed.

    W^T delta is found by differentiating the backward pass, which is linear in its cotangent: this
    needs no forward-mode rule, and follows a surgery's backward pass, if that is linear, too.
    """

    token = "ir-closed"
    paper = "after the interaction paper, Lemma 2 and Corollary 2"
    cost: ClassVar[str] = "about 3 k"
    needs: ClassVar[str] = "an objective with curvature: cross-entropy, cosine"
    twice: ClassVar[bool] = True
    lambda_sum: float = Field(0.5, ge=0)
    """Weight of the sum over ordered pairs: lambda on the scale of delta^T H delta."""
    at: Literal["clean", "point"] = "clean"
    """Where H is taken: at the clean image, as in the paper's theory, or at x + delta, which adds
    the derivative of H to the gradient."""
    self_terms: Literal["keep", "remove"] = "keep"
    """`remove` subtracts each cell's interaction with itself, estimated with random signs."""
    grid: int | None = Field(None, ge=2)
    """Cells per side, 16 by default; only with `self_terms: remove`."""
    samples: int | None = Field(None, ge=1)
    """Random sign patterns at each step, 1 by default; only with `self_terms: remove`."""

    @model_validator(mode="after")
    def _used(self) -> ClosedForm:
        if self.self_terms == "keep" and (self.grid is not None or self.samples is not None):
            raise ValueError("grid and samples have an effect only with `self_terms: remove`")
        return self

    @property
    def passes(self) -> float:
        """The outputs, their gradient, and the gradient of that, roughly."""
        return 3.0

    @property
    def cell_grid(self) -> Grid | None:
        """The cells whose self terms are removed; None when they are kept."""
        side = self.grid or _SIDE
        return Grid(side, side) if self.self_terms == "remove" else None

    def objection(self, choice: Choice, goal: Goal | None) -> str | None:
        """Return why the penalty cannot take part in an attack, or None."""
        objective = choice.objective
        if objective is not None and objective.token in ("logit", "margin"):
            return f"ir-closed: {objective.token!r} has no curvature in the outputs, use 'ir'"
        for part in choice.parts:
            if isinstance(part, Surgery) and not part.linear:
                return (
                    f"ir-closed differentiates the backward pass, which {part.token}'s "
                    f"renormalisation makes no linear map: set options.{part.token}.renormalise: "
                    "false"
                )
        return no_outputs(self.token, choice)

    def prepare(self, model: Surrogate, batch: Batch, draws: Draws) -> Known:
        """Return the clean image."""
        return {CLEAN: batch.images}

    def terms(
        self,
        points: Tensor,
        known: Known,
        goal: Goal,
        forward: Forward,
        objective: Objective,
        draws: Draws,
    ) -> Iterator[Tensor]:
        """Yield J - lambda_sum * delta^T H delta in one piece (at x + delta) or two (at x)."""
        moves = self._signed(points - known[CLEAN], draws)
        own = {key: value for key, value in known.items() if key != CLEAN}
        if self.at == "point":
            with sdpa_kernel(SDPBackend.MATH):  # fused attention has no second derivative
                outputs = forward(points)
            expansion = Expansion(points, outputs, own, goal, objective)
            forms = torch.stack([share * expansion.curvature(move) for share, move in moves])
            yield objective.of_outputs(outputs, own, goal) - self.lambda_sum * forms.sum(0)
            return
        yield objective.of_outputs(forward(points), own, goal)
        start = known[CLEAN].detach().requires_grad_()
        with sdpa_kernel(SDPBackend.MATH):
            expansion = Expansion(start, forward(start), own, goal, objective)
        # H is constant here: the piece is delta . (H delta) with the factor 2 of its derivative.
        for share, move in moves:
            pushed = expansion.product(move.detach())
            form = (move * pushed).flatten(1).sum(1)
            yield -self.lambda_sum * share * (2 * form - form.detach())

    def _signed(self, delta: Tensor, draws: Draws) -> list[tuple[float, Tensor]]:
        """Return (share, perturbation) of every form whose weighted sum is the penalty.

        With independent random signs s_a of the cells, the form of sum_a s_a delta_a has the sum of
        the self terms as its mean: all terms between two cells average out.
        """
        moves = [(1.0, delta)]
        if (grid := self.cell_grid) is not None:
            samples, count = self.samples or 1, grid.cells
            labels = grid.labels(*delta.shape[2:]).to(delta.device)
            uniform = draws.uniform("interactions/signs", (samples, count), device=delta.device)
            signs = torch.where(uniform < 0.5, -1.0, 1.0).to(delta.dtype)
            for sample in range(samples):
                moves.append((-1 / samples, delta * signs[:, sample][:, labels].unsqueeze(1)))
        return moves
