"""The engine on Ray: packed workers or pinned surrogates, and target workers beside them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import ray

from gauntlet.actors.own_modules import NONE, OwnModules
from gauntlet.actors.placement import Layout
from gauntlet.actors.spawn import spawn_surrogates, spawn_targets
from gauntlet.actors.surrogates import PackedSurrogates, PinnedSurrogates
from gauntlet.actors.targets import gathered
from gauntlet.actors.wire import Packed
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Batch
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.results.manifest import ModelCard
from gauntlet.pipeline.run.engine import AttackResult
from gauntlet.pipeline.run.plan import Plan
from gauntlet.pipeline.run.request import Request
from gauntlet.pipeline.run.steps import JudgedSteps

T = TypeVar("T")


class RayEngine:
    """Surrogates and targets on actors, for a runner with several units in flight.

    Args:
        plan: what to run.
        layout: which processes hold what.
        first: a packed worker that has been started.
        modules: the person's own modules.
        note: told of what a person might not expect.

    Raises:
        BadInput: when an actor cannot build its models.
    """

    def __init__(
        self,
        plan: Plan,
        layout: Layout,
        first: Any | None = None,
        modules: OwnModules = NONE,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._layout = layout
        self._surrogates: PackedSurrogates | PinnedSurrogates
        try:
            if layout.surrogate_gpus >= layout.target_gpus:
                workers = spawn_surrogates(plan, layout, modules, first)
                _wait_if_shared(layout, workers)
                self._targets = spawn_targets(plan, layout, modules)
            else:
                self._targets = spawn_targets(plan, layout, modules)
                _wait_if_shared(layout, self._targets.workers)
                workers = spawn_surrogates(plan, layout, modules, first)
            self._workers = (*workers, *self._targets.workers)
            if layout.placement == "packed":
                self._surrogates = PackedSurrogates(plan, layout, self._targets, workers)
            else:
                self._surrogates = PinnedSurrogates(plan, layout, self._targets, workers, note)
            self._cards = {**self._surrogates.cards(), **self._targets.cards()}
        except ray.exceptions.ActorDiedError as error:
            # Ray hands on a failed constructor's traceback as text; its last line is the error.
            reason = str(error).strip().splitlines()[-1]
            raise BadInput(Problem("", f"a model could not be built: {reason}")) from error

    losses = (
        ray.exceptions.RayActorError,
        ray.exceptions.WorkerCrashedError,
        ray.exceptions.NodeDiedError,
        ray.exceptions.ObjectLostError,
        ray.exceptions.OutOfMemoryError,
        ray.exceptions.ObjectStoreFullError,
    )
    """Errors of the cluster; those of the code in its processes are of their own types."""

    @property
    def lanes(self) -> int:
        """Units in flight."""
        return self._layout.lanes

    @property
    def description(self) -> str:
        """What was chosen, and why."""
        return f"{self._layout.summary} ({self._layout.reason})"

    @property
    def cards(self) -> Mapping[str, ModelCard]:
        """The models by role and name."""
        return self._cards

    def attack(
        self, attack: Attack, batch: Batch, judged: JudgedSteps | None = None
    ) -> AttackResult:
        """Attack a batch."""
        return self._surrogates.attack(attack, batch, judged)

    def ask(self, models: Sequence[str], request: Request[T]) -> dict[str, T]:
        """Have the processes answer, all at the same time; a target worker decodes images."""
        targets = [name for name in models if name in self._targets.home]
        others = [name for name in models if name not in self._targets.home]
        beside = request.decodes
        sent = self._targets.prepare(request) if beside else ray.put(Packed.of(request))
        calls = self._targets.ask(targets, sent)
        found = self._surrogates.ask(others, sent) if others else {}
        found |= gathered(calls)
        return {name: found[name] for name in models}

    def close(self) -> None:
        """End the actors: the session may be another's, and go on."""
        for worker in vars(self).get("_workers", ()):
            with contextlib.suppress(ray.exceptions.RayError):
                ray.kill(worker)
        # Ray numbers the actors of every session alike: a handle that is collected when another
        # session has begun would end that one's actor.
        for name in ("_workers", "_surrogates", "_targets"):
            vars(self).pop(name, None)


def _wait_if_shared(layout: Layout, workers: Sequence[Any]) -> None:
    # Small shares that came first could take a part of every GPU, and larger ones wait for ever.
    if layout.surrogate_gpus and layout.target_gpus:
        ray.get([worker.__ray_ready__.remote() for worker in workers])
