"""The surrogates on their actors: packed workers that each hold all, or one an actor."""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import ray

from gauntlet.actors.batches import PublishedBatches
from gauntlet.actors.pinned import PinnedOracle
from gauntlet.actors.placement import Layout
from gauntlet.actors.targets import TargetHandles, gathered
from gauntlet.actors.turns import Turns
from gauntlet.actors.wire import Packed
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Batch
from gauntlet.pipeline.exchange.arena import Arena
from gauntlet.pipeline.progress import Once
from gauntlet.pipeline.results.manifest import ModelCard
from gauntlet.pipeline.run.engine import AttackResult
from gauntlet.pipeline.run.local import run_judged
from gauntlet.pipeline.run.plan import Plan
from gauntlet.pipeline.run.plan_models import image_dtype
from gauntlet.pipeline.run.steps import JudgedSteps


class PackedSurrogates:
    """Workers that each hold all surrogates; a unit goes to whichever is idle."""

    def __init__(
        self, plan: Plan, layout: Layout, targets: TargetHandles, workers: Sequence[Any]
    ) -> None:
        self._targets, self._workers = targets, workers
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for worker in workers:
            self._idle.put(worker)
        self._batches = PublishedBatches(keep=layout.lanes + 2)

    def cards(self) -> dict[str, ModelCard]:
        """Return the surrogates' cards; waits until all workers are ready."""
        return gathered([worker.cards.remote() for worker in self._workers])

    def attack(self, attack: Attack, batch: Batch, judged: JudgedSteps | None) -> AttackResult:
        """Attack a batch on the next idle worker, which shows judged iterates to the targets."""
        (reference,) = self._batches.publish(batch).reference
        targets = None if judged is None else self._targets
        with self._next_idle() as (worker,):
            call = worker.attack.remote(attack, reference, judged, targets)
            result: Packed[AttackResult] = ray.get(call)
        return result.unpack()

    def ask(self, names: Sequence[str], request: Any) -> dict[str, Any]:
        """Return surrogates' answers to a packed request; the workers that are idle share them."""
        with self._next_idle(len(names)) as workers:
            shares = [names[at :: len(workers)] for at in range(len(workers))]
            calls = zip(workers, shares, strict=True)
            return gathered([worker.ask.remote(share, request) for worker, share in calls])

    @contextlib.contextmanager
    def _next_idle(self, most: int = 1) -> Iterator[list[Any]]:
        """Wait for a worker, and take others that have nothing to do, too."""
        workers = [self._idle.get()]
        try:
            with contextlib.suppress(queue.Empty):
                while len(workers) < most:
                    workers.append(self._idle.get_nowait())
            yield workers
        finally:
            for worker in workers:
                self._idle.put(worker)


class PinnedSurrogates:
    """One actor per surrogate (times replicas); the loop runs here, in the calling thread."""

    def __init__(
        self,
        plan: Plan,
        layout: Layout,
        targets: TargetHandles,
        workers: Sequence[Any],
        note: Callable[[str], None],
    ) -> None:
        self._plan, self._targets, self._workers = plan, targets, workers
        self._names = [spec.name for spec in plan.surrogates]
        k = len(self._names)
        sets = [workers[at : at + k] for at in range(0, len(workers), k)]
        batches, turns = PublishedBatches(keep=layout.lanes + 2), Turns(layout.calls)
        arena, once = Arena(), Once(note)
        self._free: queue.SimpleQueue[tuple[PinnedOracle, Sequence[Any]]] = queue.SimpleQueue()
        # Lanes are spread evenly over the replicas; two on each keep it busy.
        for lane in range(layout.lanes):
            actors = sets[lane % len(sets)]
            oracle = PinnedOracle(self._names, actors, batches, turns, arena, note=once)
            self._free.put((oracle, actors))

    def cards(self) -> dict[str, ModelCard]:
        """Return the surrogates' cards; waits until all are loaded."""
        return gathered([actor.cards.remote() for actor in self._workers])

    def attack(self, attack: Attack, batch: Batch, judged: JudgedSteps | None) -> AttackResult:
        """Run the loop here, asking the actors at every step."""
        moved = batch.to("cpu", image_dtype(self._plan.resources))
        with self._next_free() as (oracle, _):
            return run_judged(self._plan, attack, moved, oracle, judged, self._targets.show)

    def ask(self, names: Sequence[str], request: Any) -> dict[str, Any]:
        """Return surrogates' answers to a packed request; they work at the same time."""
        with self._next_free() as (_, actors):
            homes = dict(zip(self._names, actors, strict=True))
            return gathered([homes[name].ask.remote([name], request) for name in names])

    @contextlib.contextmanager
    def _next_free(self) -> Iterator[tuple[PinnedOracle, Sequence[Any]]]:
        free = self._free.get()
        try:
            yield free
        finally:
            self._free.put(free)
