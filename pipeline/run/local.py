"""The engine without Ray: all models in this process, one unit at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from gauntlet.pipeline.attacks.ask import Oracle
from gauntlet.pipeline.attacks.loop import run
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Batch
from gauntlet.pipeline.data.examples import Examples
from gauntlet.pipeline.evaluation.gallery import Gallery
from gauntlet.pipeline.foreign import libraries
from gauntlet.pipeline.foreign.outcome import brought
from gauntlet.pipeline.models.sources.permission import NOTHING, Permission
from gauntlet.pipeline.oracle.in_process import InProcessOracle
from gauntlet.pipeline.oracle.narrow import NarrowOracle
from gauntlet.pipeline.results.manifest import ModelCard, ThresholdRecord
from gauntlet.pipeline.results.storage import Storage
from gauntlet.pipeline.run.carrier import Carrier
from gauntlet.pipeline.run.engine import AttackResult
from gauntlet.pipeline.run.plan import Plan
from gauntlet.pipeline.run.plan_models import (
    build_surrogate,
    build_target,
    configure,
    device,
    image_dtype,
)
from gauntlet.pipeline.run.request import Request
from gauntlet.pipeline.run.showing import Showing
from gauntlet.pipeline.run.steps import JudgedSteps, Show, StepJudge

T = TypeVar("T")


class LocalSurrogates:
    """All surrogates of a plan in this process, and the loop: also what a packed worker holds.

    Args:
        plan: names them.
        permission: the code of the person's that an `import:` may run.
        checked: whether this process has found the models sound already.
        watched: returns what the loop asks in place of the oracle, and so sees what it asks.
    """

    def __init__(
        self,
        plan: Plan,
        permission: Permission = NOTHING,
        checked: bool = False,
        watched: Callable[[Oracle], Oracle] = lambda oracle: oracle,
    ) -> None:
        self._plan = plan
        built = [build_surrogate(spec, plan, permission, checked) for spec in plan.surrogates]
        self.models = {model.name: model for model, _ in built}
        self.cards = {f"surrogate/{card.name}": card for _, card in built}
        oracle = InProcessOracle(
            list(self.models.values()), rows_per_pass=plan.resources.rows_per_pass
        )
        self._oracle = watched(oracle)
        self._permission = permission

    def attack(
        self,
        attack: Attack,
        batch: Batch,
        judged: JudgedSteps | None = None,
        show: Show | None = None,
        rows_per_pass: int | None = None,
    ) -> AttackResult:
        """Attack a batch; the result is on the CPU.

        Args:
            attack: what to do.
            batch: the examples.
            judged: iterates that the targets judge on the way.
            show: shows them to the targets; needed with ``judged``.
            rows_per_pass: as in `gauntlet.pipeline.run.engine.Attackable.attack`.
        """
        plan = self._plan
        moved = batch.to(device(), image_dtype(plan.resources))
        if attack.source is not None:
            return self._foreign(attack, moved)
        oracle = narrowed(self._oracle, rows_per_pass)
        return run_judged(plan, attack, moved, oracle, judged, show)

    def _foreign(self, attack: Attack, batch: Batch) -> AttackResult:
        """Have another library attack a batch."""
        plan = self._plan
        models = {name: self.models[name] for name in plan.surrogates_of(attack)}
        made = libraries.attacked(
            attack, batch, models, plan.seed_of(attack), plan.root, self._permission
        )
        found = brought(attack, batch, made, plan.evaluate.quantize, {})
        return AttackResult(found.images, found.trace, found.lost, excess=found.excess)


def narrowed(oracle: Oracle, rows_per_pass: int | None) -> Oracle:
    """Return an oracle that is asked in pieces, where a number of rows a pass is given."""
    return oracle if rows_per_pass is None else NarrowOracle(oracle, rows_per_pass)


def run_judged(
    plan: Plan,
    attack: Attack,
    batch: Batch,
    oracle: Oracle,
    judged: JudgedSteps | None,
    show: Show | None,
) -> AttackResult:
    """Run the loop while the targets judge chosen iterates; the result is on the CPU.

    Args:
        plan: names the seed and whether to quantize.
        attack: what to do.
        batch: the examples, where and in the precision that the oracle works in.
        oracle: the surrogates.
        judged: iterates to judge.
        show: shows them to the targets; needed with ``judged``.
    """
    judge = None
    if judged is not None and judged.steps:
        if show is None:
            raise ValueError("iterates cannot be judged without targets")
        judge = StepJudge(judged, attack, batch, show)
    result = run(
        attack,
        batch,
        oracle,
        seed=plan.seed_of(attack),
        quantize=plan.evaluate.quantize,
        on_step=judge,
    )
    steps = judge.verdicts() if judge is not None else ()
    return AttackResult(result.images.cpu(), result.trace, result.lost, steps)


class LocalEngine:
    """Surrogates and targets in this process.

    Args:
        plan: names them.
        reason: why they are here, for the record.
        permission: the code of the person's that an `import:` may run.
        checked: whether this process has found the models sound already.
    """

    losses: tuple[type[Exception], ...] = ()
    """None: there is no worker to lose."""

    def __init__(
        self,
        plan: Plan,
        reason: str = "asked for",
        permission: Permission = NOTHING,
        checked: bool = False,
    ) -> None:
        self._plan = plan
        threads = plan.resources.threads
        configure(plan.resources, None if threads == "auto" else threads)
        self._surrogates = LocalSurrogates(plan, permission, checked)
        targets = [build_target(spec, plan, permission, checked) for spec in plan.targets]
        self._targets = [model.name for model, _ in targets]
        self._models = self._surrogates.models | {model.name: model for model, _ in targets}
        self._cards = {
            **self._surrogates.cards,
            **{f"target/{card.name}": card for _, card in targets},
        }
        self.description = f"in-process on {device()} ({reason})"

    @property
    def cards(self) -> Mapping[str, ModelCard]:
        """The models by role and name."""
        return self._cards

    def attack(
        self,
        attack: Attack,
        batch: Batch,
        judged: JudgedSteps | None = None,
        rows_per_pass: int | None = None,
    ) -> AttackResult:
        """Attack a batch; iterates are judged as they come."""
        return self._surrogates.attack(attack, batch, judged, self._show, rows_per_pass)

    def ask(self, models: Sequence[str], request: Request[T]) -> dict[str, T]:
        """Have models answer a request, one after the other."""
        ready = request.prepared()
        return {name: ready.of(self._models[name]) for name in models}

    def carriers(
        self,
        examples: Examples,
        thresholds: Mapping[str, ThresholdRecord],
        storage: Storage,
        gallery: Gallery | None = None,
    ) -> list[Carrier]:
        """Return this process as the one carrier."""
        return [Carrier(self._plan, self, examples, thresholds, storage, gallery=gallery)]

    def another(self) -> None:
        """Return none: there is one process."""

    def _show(self, showing: Showing) -> Callable[[], dict[str, np.ndarray]]:
        outputs = self.ask(self._targets, showing)
        return lambda: outputs

    def close(self) -> None:
        """Drop the models."""
        self._models.clear()
