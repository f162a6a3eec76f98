"""The engine on Ray: packed workers or pinned surrogates, and target workers beside them."""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import ray
from torch import Tensor

from gauntlet.actors.own_modules import NONE, OwnModules
from gauntlet.actors.pinned import PinnedOracle, PublishedBatches
from gauntlet.actors.placement import Layout
from gauntlet.actors.targets import TargetHandles, gathered
from gauntlet.actors.turns import Turns
from gauntlet.actors.wire import WireBatch, WireLook, WireObserved, array
from gauntlet.actors.workers import PackedWorker, SurrogateActor, TargetWorker
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Batch
from gauntlet.pipeline.interactions import InteractionSpec
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.results.manifest import ModelCard
from gauntlet.pipeline.run.engine import Observed
from gauntlet.pipeline.run.interactions import Interactions
from gauntlet.pipeline.run.local import observed
from gauntlet.pipeline.run.look import Look
from gauntlet.pipeline.run.models import image_dtype
from gauntlet.pipeline.run.plan import Plan
from gauntlet.pipeline.run.probe.sample import ImageSample, Sampled, Seen
from gauntlet.pipeline.run.steps import Watch

CALL_RETRIES = 3
"""How often Ray repeats a call whose actor died, restarting the actor each time."""


def _spawn(kind: type, layout: Layout, gpus: float, *arguments: Any) -> Any:
    options = {
        "num_cpus": layout.cpus,
        "num_gpus": gpus,
        "max_restarts": -1,
        "max_task_retries": CALL_RETRIES,
    }
    return ray.remote(kind).options(**options).remote(*arguments)


class Targets:
    """The target workers: each image travels into the object store once and is read by all."""

    def __init__(self, plan: Plan, layout: Layout, modules: OwnModules = NONE) -> None:
        names = [spec.name for spec in plan.targets]
        workers = []
        home: dict[str, int] = {}
        for index in range(layout.target_workers):
            share = names[index :: layout.target_workers]
            home |= dict.fromkeys(share, index)
            arguments = (plan, share, layout.threads, modules)
            workers.append(_spawn(TargetWorker, layout, layout.target_gpus, *arguments))
        self.handles = TargetHandles(tuple(workers), home)

    @property
    def names(self) -> frozenset[str]:
        """Names of the targets."""
        return frozenset(self.handles.home)

    def cards(self) -> dict[str, ModelCard]:
        """Return all targets' cards; waits until they are loaded."""
        found: dict[str, ModelCard] = {}
        for cards in ray.get([worker.cards.remote() for worker in self.handles.workers]):
            found |= cards
        return found


class PackedSurrogates:
    """Workers that each hold all surrogates; a unit goes to whichever is idle."""

    def __init__(
        self, plan: Plan, layout: Layout, targets: TargetHandles, workers: Sequence[Any]
    ) -> None:
        self._targets = targets
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for worker in workers:
            self._idle.put(worker)
        self._workers = workers
        self._batches = PublishedBatches(keep=layout.lanes + 2)

    def cards(self) -> dict[str, ModelCard]:
        """Return the surrogates' cards; waits until all workers are ready."""
        cards: list[dict[str, ModelCard]] = ray.get(
            [worker.cards.remote() for worker in self._workers]
        )
        return cards[0]

    def attack(self, attack: Attack, batch: Batch, watch: Watch | None) -> Observed:
        """Attack a batch on the next idle worker, which shows watched iterates to the targets."""
        _, reference = self._batches.publish(batch)
        targets = None if watch is None else self._targets
        with self._next_idle() as worker:
            result: WireObserved = ray.get(worker.attack.remote(attack, reference, watch, targets))
        return result.unpack()

    def interactions(
        self, attack: Attack, batch: Batch, images: Tensor, spec: InteractionSpec
    ) -> dict[str, Interactions]:
        """Measure interactions on the next idle worker."""
        with self._next_idle() as worker:
            found: dict[str, Interactions] = ray.get(
                worker.interactions.remote(attack, WireBatch.pack(batch), array(images), spec)
            )
        return found

    @contextlib.contextmanager
    def _next_idle(self) -> Iterator[Any]:
        worker = self._idle.get()
        try:
            yield worker
        finally:
            self._idle.put(worker)

    def show(self, names: Sequence[str], look: Any) -> list[Any]:
        """Return references to surrogates' outputs."""
        return [self._workers[0].show.remote(look, list(names))]

    def see(self, names: Sequence[str], decoded: Any, readings: Sequence[str]) -> list[Any]:
        """Return references to surrogates' answers to a sample; the workers share the names."""
        shares = [list(names[at :: len(self._workers)]) for at in range(len(self._workers))]
        return [
            worker.see.remote(decoded, share, readings)
            for worker, share in zip(self._workers, shares, strict=True)
            if share
        ]


class PinnedSurrogates:
    """One actor per surrogate (times replicas); the loop runs here, in the calling thread."""

    def __init__(
        self, plan: Plan, layout: Layout, targets: TargetHandles, workers: Sequence[Any]
    ) -> None:
        self._plan, self._targets = plan, targets
        names = [spec.name for spec in plan.surrogates]
        self._sets = [workers[at : at + len(names)] for at in range(0, len(workers), len(names))]
        batches = PublishedBatches(keep=layout.lanes + 2)
        self._names = names
        self._free: queue.SimpleQueue[tuple[PinnedOracle, Sequence[Any]]] = queue.SimpleQueue()
        turns = Turns(layout.calls)
        # Lanes are spread evenly over the replicas; two on each keep it busy.
        for lane in range(layout.lanes):
            actors = self._sets[lane % len(self._sets)]
            self._free.put((PinnedOracle(names, actors, batches, turns), actors))

    def cards(self) -> dict[str, ModelCard]:
        """Return the surrogates' cards; waits until all are loaded."""
        calls = [actor.card.remote() for actors in self._sets for actor in actors]
        cards: list[ModelCard] = ray.get(calls)
        return {f"surrogate/{card.name}": card for card in cards}

    def attack(self, attack: Attack, batch: Batch, watch: Watch | None) -> Observed:
        """Run the loop here, asking the actors at every step."""
        moved = batch.to("cpu", image_dtype(self._plan.resources))
        with self._next_free() as (oracle, _):
            return observed(self._plan, attack, moved, oracle, watch, self._targets.show)

    def interactions(
        self, attack: Attack, batch: Batch, images: Tensor, spec: InteractionSpec
    ) -> dict[str, Interactions]:
        """Measure interactions on all of the attack's surrogates at the same time."""
        sent, pixels = ray.put(WireBatch.pack(batch)), ray.put(array(images))
        names = attack.surrogates or tuple(self._names)
        found: dict[str, Interactions] = {}
        with self._next_free() as (_, actors):
            calls = [
                actors[self._names.index(name)].interactions.remote(sent, pixels, spec)
                for name in names
            ]
            for part in ray.get(calls):
                found |= part
        return found

    @contextlib.contextmanager
    def _next_free(self) -> Iterator[tuple[PinnedOracle, Sequence[Any]]]:
        free = self._free.get()
        try:
            yield free
        finally:
            self._free.put(free)

    def show(self, names: Sequence[str], look: Any) -> list[Any]:
        """Return references to surrogates' outputs."""
        return [self._sets[0][self._names.index(name)].show.remote(look) for name in names]

    def see(self, names: Sequence[str], decoded: Any, readings: Sequence[str]) -> list[Any]:
        """Return references to surrogates' answers to a sample."""
        actors = [self._sets[0][self._names.index(name)] for name in names]
        return [actor.see.remote(decoded, readings) for actor in actors]


def spawn_packed(plan: Plan, layout: Layout, modules: OwnModules = NONE) -> Any:
    """Start one packed worker."""
    return _spawn(PackedWorker, layout, layout.surrogate_gpus, plan, layout.threads, modules)


def _spawn_surrogates(
    plan: Plan, layout: Layout, modules: OwnModules, first: Any | None
) -> list[Any]:
    """Start the packed workers beside the first, or every replica's actors in turn."""
    if layout.placement == "packed":
        workers = [] if first is None else [first]
        while len(workers) < layout.surrogate_workers:
            workers.append(spawn_packed(plan, layout, modules))
        return workers
    gpus, threads = layout.surrogate_gpus, layout.threads
    return [
        _spawn(SurrogateActor, layout, gpus, plan, spec.name, threads, modules)
        for _ in range(plan.resources.replicas)
        for spec in plan.surrogates
    ]


def _wait_if_shared(layout: Layout, workers: Sequence[Any]) -> None:
    # Small shares that came first could take a part of every GPU, and larger ones wait for ever.
    if layout.surrogate_gpus and layout.target_gpus:
        ray.get([worker.__ray_ready__.remote() for worker in workers])


class RayEngine:
    """Surrogates and targets on actors, for a runner with several units in flight.

    Raises:
        BadInput: when an actor cannot build its models.
    """

    def __init__(
        self,
        plan: Plan,
        layout: Layout,
        first: Any | None = None,
        modules: OwnModules = NONE,
    ) -> None:
        self._layout = layout
        self._surrogates: PackedSurrogates | PinnedSurrogates
        kind = PackedSurrogates if layout.placement == "packed" else PinnedSurrogates
        try:
            if layout.surrogate_gpus >= layout.target_gpus:
                workers = _spawn_surrogates(plan, layout, modules, first)
                _wait_if_shared(layout, workers)
                self._targets = Targets(plan, layout, modules)
            else:
                self._targets = Targets(plan, layout, modules)
                _wait_if_shared(layout, self._targets.handles.workers)
                workers = _spawn_surrogates(plan, layout, modules, first)
            self._workers = (*workers, *self._targets.handles.workers)
            self._surrogates = kind(plan, layout, self._targets.handles, workers)
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

    def attack(self, attack: Attack, batch: Batch, watch: Watch | None = None) -> Observed:
        """Attack a batch."""
        return self._surrogates.attack(attack, batch, watch)

    def interactions(
        self, attack: Attack, batch: Batch, images: Tensor, spec: InteractionSpec
    ) -> dict[str, Interactions]:
        """Measure interactions on the attack's surrogates."""
        return self._surrogates.interactions(attack, batch, images, spec)

    def outputs(self, models: Sequence[str], look: Look) -> dict[str, np.ndarray]:
        """Show images to models by name, targets first, all at the same time."""
        reference = ray.put(WireLook.pack(look))
        targets = [name for name in models if name in self._targets.names]
        others = [name for name in models if name not in self._targets.names]
        calls = self._targets.handles.ask(targets, reference)
        if others:
            calls += self._surrogates.show(others, reference)
        return gathered(calls)

    def sampled(
        self, models: Sequence[str], sample: ImageSample, readings: Sequence[str]
    ) -> Sampled:
        """Have a target worker decode a sample, and all workers look at it past the driver."""
        targets = [name for name in models if name in self._targets.names]
        others = [name for name in models if name not in self._targets.names]
        decoded, facts = self._targets.handles.decode(sample)
        calls = self._targets.handles.see(targets, decoded, readings)
        calls += self._surrogates.see(others, decoded, readings)
        seen: dict[str, Seen] = {}
        for part in ray.get(calls):
            seen |= part
        rows, reasons = ray.get(facts)
        return Sampled(np.asarray(rows, dtype=np.int64), reasons, seen)

    def close(self) -> None:
        """End the actors: the session may be another's, and go on."""
        for worker in self._workers:
            with contextlib.suppress(ray.exceptions.RayError):
                ray.kill(worker)
