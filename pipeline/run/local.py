"""The engine without Ray: all models in this process, one unit at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.attacks.loop import Attacked, run
from pipeline.attacks.recipe import Attack
from pipeline.batch import Batch
from pipeline.oracle.in_process import InProcessOracle
from pipeline.run.engine import Look, ModelCard
from pipeline.run.models import DTYPES, build_surrogate, build_target, configure, device, show
from pipeline.run.plan import Plan


class LocalSurrogates:
    """All surrogates of a plan in this process, and the loop: also what a packed worker holds."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        built = [build_surrogate(spec, plan) for spec in plan.surrogates]
        self.models = {model.name: model for model, _ in built}
        self.cards = {f"surrogate/{card.name}": card for _, card in built}
        self._oracle = InProcessOracle(
            list(self.models.values()), rows_per_pass=plan.resources.rows_per_pass
        )

    def attack(self, attack: Attack, batch: Batch) -> Attacked:
        """Attack a batch; the result is on the CPU."""
        plan = self._plan
        moved = batch.to(device(), DTYPES[plan.resources.dtype])
        result = run(attack, moved, self._oracle, seed=plan.seed, quantize=plan.evaluate.quantize)
        return Attacked(result.images.cpu(), result.trace, result.lost)


class LocalEngine:
    """Surrogates and targets in this process."""

    def __init__(self, plan: Plan, reason: str = "asked for") -> None:
        threads = plan.resources.threads
        configure(plan.resources, None if threads == "auto" else threads)
        self._surrogates = LocalSurrogates(plan)
        targets = [build_target(spec, plan) for spec in plan.targets]
        self._targets = {model.name: model for model, _ in targets}
        self._cards = {
            **self._surrogates.cards,
            **{f"target/{card.name}": card for _, card in targets},
        }
        self.description = f"in-process on {device()} ({reason})"

    @property
    def lanes(self) -> int:
        """One: this process is busy with one unit at a time."""
        return 1

    @property
    def cards(self) -> Mapping[str, ModelCard]:
        """The models by role and name."""
        return self._cards

    def attack(self, attack: Attack, batch: Batch) -> Attacked:
        """Attack a batch."""
        return self._surrogates.attack(attack, batch)

    def outputs(self, models: Sequence[str], look: Look) -> dict[str, np.ndarray]:
        """Show images to models by name, targets first."""
        return {
            name: show(self._targets.get(name) or self._surrogates.models[name], look)
            for name in models
        }

    def close(self) -> None:
        """Drop the models."""
        self._targets.clear()
