"""The engine without Ray: all models in this process, one unit at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from torch import Tensor

from gauntlet.pipeline.attacks.ask import Oracle
from gauntlet.pipeline.attacks.loop import run
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Batch
from gauntlet.pipeline.interactions import InteractionSpec
from gauntlet.pipeline.models.adapter import Model
from gauntlet.pipeline.models.sources.permission import NOTHING, Permission
from gauntlet.pipeline.oracle.in_process import InProcessOracle
from gauntlet.pipeline.results.manifest import ModelCard
from gauntlet.pipeline.run.engine import Observed
from gauntlet.pipeline.run.interactions import Interactions, interactions
from gauntlet.pipeline.run.look import Look
from gauntlet.pipeline.run.models import (
    build_surrogate,
    build_target,
    configure,
    device,
    image_dtype,
    show,
)
from gauntlet.pipeline.run.plan import Plan
from gauntlet.pipeline.run.probe.sample import ImageSample, Sampled, sampled
from gauntlet.pipeline.run.probe.seeing import see
from gauntlet.pipeline.run.steps import Show, Watch, Watcher


class LocalSurrogates:
    """All surrogates of a plan in this process, and the loop: also what a packed worker holds."""

    def __init__(self, plan: Plan, permission: Permission = NOTHING) -> None:
        self._plan = plan
        built = [build_surrogate(spec, plan, permission) for spec in plan.surrogates]
        self.models = {model.name: model for model, _ in built}
        self.cards = {f"surrogate/{card.name}": card for _, card in built}
        self._oracle = InProcessOracle(
            list(self.models.values()), rows_per_pass=plan.resources.rows_per_pass
        )

    def attack(
        self,
        attack: Attack,
        batch: Batch,
        watch: Watch | None = None,
        show: Show | None = None,
    ) -> Observed:
        """Attack a batch; the result is on the CPU.

        Args:
            attack: what to do.
            batch: the examples.
            watch: iterates that the targets judge on the way.
            show: shows them to the targets; needed with ``watch``.
        """
        plan = self._plan
        moved = batch.to(device(), image_dtype(plan.resources))
        return observed(plan, attack, moved, self._oracle, watch, show)

    def interactions(
        self, attack: Attack, batch: Batch, images: Tensor, spec: InteractionSpec
    ) -> dict[str, Interactions]:
        """Measure interactions on the attack's surrogates, one after the other."""
        names = attack.surrogates or tuple(self.models)
        return {
            name: interactions(self.models[name], batch, images, spec, self._plan) for name in names
        }


def observed(
    plan: Plan,
    attack: Attack,
    batch: Batch,
    oracle: Oracle,
    watch: Watch | None,
    show: Show | None,
) -> Observed:
    """Run the loop while the targets judge the watched iterates; the result is on the CPU.

    Args:
        plan: names the seed and whether to quantize.
        attack: what to do.
        batch: the examples, where and in the precision that the oracle works in.
        oracle: the surrogates.
        watch: iterates to judge.
        show: shows them to the targets; needed with ``watch``.
    """
    watcher = None
    if watch is not None and watch.steps:
        if show is None:
            raise ValueError("iterates cannot be judged without targets")
        watcher = Watcher(watch, attack, batch, show)
    result = run(
        attack,
        batch,
        oracle,
        seed=plan.seed,
        quantize=plan.evaluate.quantize,
        on_step=watcher,
    )
    steps = watcher.answers() if watcher is not None else ()
    return Observed(result.images.cpu(), result.trace, result.lost, steps)


class LocalEngine:
    """Surrogates and targets in this process."""

    losses = ()
    """None: there is no worker to lose."""

    def __init__(
        self, plan: Plan, reason: str = "asked for", permission: Permission = NOTHING
    ) -> None:
        threads = plan.resources.threads
        configure(plan.resources, None if threads == "auto" else threads)
        self._surrogates = LocalSurrogates(plan, permission)
        targets = [build_target(spec, plan, permission) for spec in plan.targets]
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

    def attack(self, attack: Attack, batch: Batch, watch: Watch | None = None) -> Observed:
        """Attack a batch; iterates are judged as they come."""
        return self._surrogates.attack(attack, batch, watch, self._show)

    def interactions(
        self, attack: Attack, batch: Batch, images: Tensor, spec: InteractionSpec
    ) -> dict[str, Interactions]:
        """Measure interactions on the attack's surrogates."""
        return self._surrogates.interactions(attack, batch, images, spec)

    def outputs(self, models: Sequence[str], look: Look) -> dict[str, np.ndarray]:
        """Show images to models by name, targets first."""
        return {name: show(self._model(name), look) for name in models}

    def sampled(
        self, models: Sequence[str], sample: ImageSample, readings: Sequence[str]
    ) -> Sampled:
        """Decode a sample and show it to models."""
        decoded = sample.decode()
        asked = [self._model(name) for name in models]
        seen = {} if decoded.look is None else see(asked, decoded.look, readings)
        return sampled(decoded, seen)

    def _model(self, name: str) -> Model:
        return self._targets.get(name) or self._surrogates.models[name]

    def _show(self, look: Look) -> Callable[[], dict[str, np.ndarray]]:
        outputs = self.outputs(tuple(self._targets), look)
        return lambda: outputs

    def close(self) -> None:
        """Drop the models."""
        self._targets.clear()
