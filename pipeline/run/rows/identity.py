"""The columns that most tables begin with."""

from __future__ import annotations

import math
from typing import Any

from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.run.bench import Bench


def identity_columns(bench: Bench, attack: Attack, ids: list[str]) -> dict[str, Any]:
    """Return the columns that say which attack on which example a row is about."""
    return {
        "example": ids,
        "task": bench.task.kind.value,
        "goal": bench.task.goal.value,
        "attack": attack.label,
        "seed": bench.seed_of(attack),
        "base": attack.foreign or attack.base,
        "rule": attack.combine if attack.foreign is None else "foreign",
        "surrogates": "+".join(bench.surrogates_of(attack)),
        "norm": attack.norm,
        "epsilon": _tidy(255 * attack.epsilon),
        "steps": attack.steps,
        "step_size": _tidy(255 * attack.alpha),
    }


def _tidy(value: float) -> float:
    """Round away the noise of 255 * (2 / 255), so that people can compare with ==."""
    return float(f"{value:.12g}") if math.isfinite(value) else value
