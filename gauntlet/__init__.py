"""Transferable adversarial examples: attacks on your own models, and their evaluation at scale.

In a notebook::

    from gauntlet import Attack, attack
    adversarial = attack([net_a, net_b], images, labels, Attack(base="di-mi", combine="rgea"))
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gauntlet.pipeline.attacks.own_parts import load_parts
    from gauntlet.pipeline.attacks.recipe import Attack
    from gauntlet.pipeline.batch import Batch, Goal, Task
    from gauntlet.pipeline.library import attack, gradient_cosines
    from gauntlet.pipeline.models.model import Model, adapt

__all__ = [
    "Attack",
    "Batch",
    "Goal",
    "Model",
    "Task",
    "adapt",
    "attack",
    "gradient_cosines",
    "load_parts",
]

_HOMES = {
    "Attack": "attacks.recipe",
    "Batch": "batch",
    "Goal": "batch",
    "Model": "models.model",
    "Task": "batch",
    "adapt": "models.model",
    "attack": "library",
    "gradient_cosines": "library",
    "load_parts": "attacks.own_parts",
}
"""Where the public names live: torch is imported when the first of them is asked for."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.pipeline.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
