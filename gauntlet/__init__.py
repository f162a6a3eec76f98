"""Transferable adversarial examples: attacks on your own models, and their evaluation at scale.

In a notebook::

    from gauntlet import Attack, attack, evaluate
    adversarial = attack([net_a, net_b], images, labels, Attack(base="di-mi", combine="rgea"))
    verdicts = evaluate({"mine": net_c}, images, labels, adversarial, surrogates=[net_a, net_b])
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gauntlet.jobs.running import run
    from gauntlet.jobs.spec.schema import Job
    from gauntlet.pipeline.attacks.own_parts import load_parts
    from gauntlet.pipeline.attacks.recipe import Attack
    from gauntlet.pipeline.batch import Batch, Goal, Task
    from gauntlet.pipeline.library.attacking import attack, gradient_cosines
    from gauntlet.pipeline.library.comparing import compare, matrix
    from gauntlet.pipeline.library.evaluating import evaluate
    from gauntlet.pipeline.models.model import Model, adapt
    from gauntlet.pipeline.results.opened import Run, open_run

__all__ = [
    "Attack",
    "Batch",
    "Goal",
    "Job",
    "Model",
    "Run",
    "Task",
    "adapt",
    "attack",
    "compare",
    "evaluate",
    "gradient_cosines",
    "load_parts",
    "matrix",
    "open_run",
    "run",
]

_HOMES = {
    "Attack": "pipeline.attacks.recipe",
    "Batch": "pipeline.batch",
    "Goal": "pipeline.batch",
    "Job": "jobs.spec.schema",
    "Model": "pipeline.models.model",
    "Run": "pipeline.results.opened",
    "Task": "pipeline.batch",
    "adapt": "pipeline.models.model",
    "attack": "pipeline.library.attacking",
    "compare": "pipeline.library.comparing",
    "evaluate": "pipeline.library.evaluating",
    "gradient_cosines": "pipeline.library.attacking",
    "load_parts": "pipeline.attacks.own_parts",
    "matrix": "pipeline.library.comparing",
    "open_run": "pipeline.results.opened",
    "run": "jobs.running",
}
"""Where the public names live: torch is imported when the first that needs it is asked for."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
