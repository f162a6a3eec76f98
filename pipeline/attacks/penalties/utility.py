"""The utility v(S) of a coalition of perturbed cells (specification 2.8, 3.1).

Larger is better for the attack, whatever the goal: a targeted attack's margin is the wanted class's
over the others. Constants, such as the loss of the clean image, cancel in every interaction.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from gauntlet.pipeline.attacks.objectives.objective import Objective
from gauntlet.pipeline.attacks.objectives.outputs import Margin
from gauntlet.pipeline.attacks.surrogate import Known
from gauntlet.pipeline.batch import Goal

UtilityName = Literal["margin", "margin-anew", "loss"]
Utility = Callable[[Tensor], Tensor]
"""From outputs on V variants of each row, (V * rows, C), to v, (V, rows)."""


def utility(
    name: UtilityName, outputs: Tensor, known: Known, goal: Goal, objective: Objective
) -> Utility:
    """Return the utility, with whatever it fixes at x + delta fixed.

    Args:
        name: ``margin``: between the class that the goal is about and its strongest rival at
            x + delta, the same rival for all coalitions (official code); ``margin-anew``: the rival
            is chosen for each coalition (interaction paper, Fig. 3); ``loss``: the objective
            (Eq. 3).
        outputs: at x + delta, (rows, C).
        known: what the objective knows of each row.
        goal: what the attacker wants.
        objective: what the attack raises.
    """
    if name == "margin":
        return _fixed_margin(outputs.detach(), known["classes"], goal)
    rows, raised = len(outputs), objective if name == "loss" else Margin()

    def values(variants: Tensor) -> Tensor:
        times = len(variants) // rows
        tiled = {key: value.repeat(times, *[1] * (value.ndim - 1)) for key, value in known.items()}
        return raised.of_outputs(variants, tiled, goal).reshape(times, rows)

    return values


def _fixed_margin(outputs: Tensor, classes: Tensor, goal: Goal) -> Utility:
    rival = outputs.scatter(1, classes[:, None], -torch.inf).argmax(1)
    better, worse = (classes, rival) if goal is Goal.TARGETED else (rival, classes)
    pair = torch.stack([better, worse], 1)

    def values(variants: Tensor) -> Tensor:
        apart = variants.reshape(-1, *outputs.shape)
        logits = apart.gather(2, pair.expand(len(apart), -1, -1))
        return logits[..., 0] - logits[..., 1]

    return values
