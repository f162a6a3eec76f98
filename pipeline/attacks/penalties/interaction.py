"""What the interaction penalties share: the set term, its utility and its cells (spec. 2.8)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator

import torch
from pydantic import Field
from torch import Tensor

from gauntlet.pipeline.attacks.objectives.objective import Objective
from gauntlet.pipeline.attacks.part import Choice
from gauntlet.pipeline.attacks.penalties.cell_sets import perturbed
from gauntlet.pipeline.attacks.penalties.penalty import Penalty
from gauntlet.pipeline.attacks.penalties.utility import UtilityName, utility
from gauntlet.pipeline.attacks.surrogate import Forward, Known, Surrogate
from gauntlet.pipeline.batch import Batch, Goal, Task
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.interactions.cells import Borders, Grid

CLEAN, CLEAN_OUTPUTS, EXAMPLE = "penalty/clean", "penalty/outputs", "penalty/example"


class InteractionPenalty(Penalty):
    """Measures I = mean over sets S of v(Omega) - v(Omega minus S) - v(S) + v(empty).

    v(S) is the utility of x + delta^(S), where delta^(S) keeps the perturbation in the cells of S.
    """

    grid: int = Field(16, ge=2)
    """Cells per side: the perturbation's units are grid x grid cells of all channels."""
    borders: Borders = "round"
    """Where cells meet if a side is no multiple of `grid`: `round`, every pixel in a cell; `floor`,
    cells of floor(side / grid) pixels and a rest in no cell (official code)."""
    utility: UtilityName | None = None
    """v. `margin` (the default with classes): class against its strongest rival, the rival fixed at
    x + delta (official code); `margin-anew`: the rival chosen in every set; `loss`: the objective,
    the only one with faces."""

    @property
    def cell_grid(self) -> Grid:
        """The cells that are a perturbation's units."""
        return Grid(self.grid, self.grid, self.borders)

    @property
    def cells_in_all(self) -> int:
        """Number n of cells."""
        return self.grid**2

    @abstractmethod
    def coalitions(self, draws: Draws, device: torch.device) -> Tensor:
        """Return the cells of each set S, bool (rows, K, n)."""

    def objection(self, choice: Choice, goal: Goal | None) -> str | None:
        """Return why the penalty cannot take part in an attack, or None."""
        if complaint := no_outputs(self.token, choice):
            return complaint
        if goal and goal.task is Task.VERIFICATION and self.utility not in (None, "loss"):
            return f"{self.token}: faces have no {self.utility!r} utility, only 'loss'"
        return None

    def prepare(self, model: Surrogate, batch: Batch, draws: Draws) -> Known:
        """Return the clean image, the outputs on it, and the position of each example."""
        with torch.no_grad():
            outputs = model(batch.images)
        position = torch.arange(len(batch), device=batch.images.device)
        return {CLEAN: batch.images, CLEAN_OUTPUTS: outputs, EXAMPLE: position}

    def interactions(
        self,
        points: Tensor,
        outputs: Tensor,
        empty: Tensor,
        known: Known,
        goal: Goal,
        objective: Objective,
        draws: Draws,
        ask: Callable[[Tensor], Tensor],
        room: int,
    ) -> Iterator[Tensor]:
        """Yield I in pieces, (rows,) each: v(Omega) + v(empty) first, then groups of sets.

        Args:
            points: x + delta, (rows, 3, H, W).
            outputs: at x + delta, (rows, C).
            empty: outputs at x, without a graph.
            known: what is known of each row.
            goal: what the attacker wants.
            objective: what the attack raises.
            draws: one random stream per row.
            ask: returns outputs on V variants of each row.
            room: variants that may be asked for at once.
        """
        default: UtilityName = "margin" if goal.task is Task.CLASSIFICATION else "loss"
        own = {key: value for key, value in known.items() if not key.startswith("penalty/")}
        value = utility(self.utility or default, outputs, own, goal, objective)
        yield value(outputs)[0] + value(empty)[0]
        sets = self.coalitions(draws, points.device)
        for images in perturbed(points, known[CLEAN], sets, self.cell_grid, room):
            yield -value(ask(images)).sum(0) / sets.shape[1]


def outputs_of_clean(known: Known, forward: Forward) -> Tensor:
    """Return the outputs at x as this pass sees it, (rows, C): a pass only where views change it.

    v(empty) has no gradient, so no graph is built.
    """
    if forward.deterministic:
        return known[CLEAN_OUTPUTS]
    with torch.no_grad():
        return forward(known[CLEAN])


def unmoved(points: Tensor, known: Known) -> Tensor:
    """Return which rows stand at their clean image, bool (rows,).

    There every set term is zero and so is its gradient; what floating point leaves of it is
    rounding noise, more than the gradient of an image that the surrogate is sure of.
    """
    return (points == known[CLEAN]).flatten(1).all(1)


def no_outputs(token: str, choice: Choice) -> str | None:
    """Return why an attack's objective has no utility on the model's outputs, or None."""
    objective = choice.objective
    if objective is None or objective.fusable:
        return None
    return f"{token} needs an objective on the outputs, and {objective.token!r} is on features"
