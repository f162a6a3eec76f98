"""The engine on Ray: packed workers or pinned surrogates, and target workers beside them."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import ray

from gauntlet.actors.carrying import RemoteCarrier, Setup
from gauntlet.actors.layout import Layout
from gauntlet.actors.losses import LOSSES
from gauntlet.actors.own_modules import NONE, OwnModules
from gauntlet.actors.rooms import Room, rooms, words
from gauntlet.actors.spawn import spawn_hub, spawn_surrogates, spawn_targets
from gauntlet.actors.surrogates import SurrogateHandles
from gauntlet.actors.targets import merged
from gauntlet.actors.waiting import answers
from gauntlet.actors.wire import Packed
from gauntlet.pipeline.data.examples import Examples
from gauntlet.pipeline.evaluation.gallery import Gallery
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.results.manifest import ModelCard, ThresholdRecord
from gauntlet.pipeline.results.storage import STAGING, Storage
from gauntlet.pipeline.run.plan import Plan
from gauntlet.pipeline.run.request import Request

T = TypeVar("T")

ROOM = 60.0
"""Seconds in which one more hub has to find a core, and to start."""


class RayEngine:
    """Surrogates and targets on actors, for a runner with several units in flight.

    Args:
        plan: what to run.
        layout: which processes hold what.
        first: a packed worker that has been started.
        modules: the person's own modules.
        note: told of processes that start anew where an answer is waited for.

    Raises:
        BadInput: when an actor cannot build its models.
    """

    def __init__(
        self,
        plan: Plan,
        layout: Layout,
        first: Any | None = None,
        modules: OwnModules = NONE,
        note: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._layout, self._note = layout, note
        self._plan, self._modules = plan, modules
        self._hubs, self._starting = 0, threading.Lock()
        self._rooms: list[Room] = []
        try:
            if layout.surrogate_gpus >= layout.target_gpus:
                workers = self._started(modules, first)
                _wait_if_shared(layout, workers, note)
                self._targets = spawn_targets(plan, layout, modules)
            else:
                self._targets = spawn_targets(plan, layout, modules)
                _wait_if_shared(layout, self._targets.workers, note)
                workers = self._started(modules, first)
            self._workers = (*workers, *self._targets.workers)
            self._surrogates = SurrogateHandles(plan, layout.placement, workers)
            cards = [*self._surrogates.cards(), *self._targets.cards()]
            self._cards = merged(answers(cards, self._workers, note))
        except ray.exceptions.ActorDiedError as error:
            self.close()
            # Ray hands on a failed constructor's traceback as text; its last line is the error.
            reason = str(error).strip().splitlines()[-1]
            raise BadInput(Problem("", f"a model could not be built: {reason}")) from error
        except BaseException:
            self.close()  # nobody else would give the rooms back
            raise

    losses = LOSSES

    @property
    def description(self) -> str:
        """What was chosen, and why."""
        where = words(self._rooms) if self._rooms else ""
        return f"{self._layout.summary} ({self._layout.reason}{where})"

    @property
    def cards(self) -> Mapping[str, ModelCard]:
        """The models by role and name."""
        return self._cards

    def ask(self, models: Sequence[str], request: Request[T]) -> dict[str, T]:
        """Have the processes answer, all at the same time; a target worker decodes images."""
        targets = [name for name in models if name in self._targets.home]
        others = [name for name in models if name not in self._targets.home]
        beside = request.decodes
        sent = self._targets.prepare(request) if beside else ray.put(Packed.of(request))
        calls = self._targets.ask(targets, sent)
        calls += self._surrogates.ask(others, sent) if others else []
        found = merged(answers(calls, self._workers, self._note))
        return {name: found[name] for name in models}

    def carriers(
        self,
        examples: Examples,
        thresholds: Mapping[str, ThresholdRecord],
        storage: Storage,
        gallery: Gallery | None = None,
    ) -> list[RemoteCarrier]:
        """Return the packed workers, or hubs that are started now."""
        layout = self._layout
        proof = f"{STAGING}/.{uuid.uuid4().hex}"
        storage.write(proof, b"", durable=False)
        self._written = storage, proof
        setup = Setup(
            targets=self._targets,
            cards=self._cards,
            thresholds=thresholds,
            location=storage.address,
            proof=proof,
            lanes=layout.lanes_of_carrier,
            calls=layout.calls_of_hub,
            gallery=gallery,
        )
        if layout.placement == "packed":
            sent = ray.put(setup)
            return [
                RemoteCarrier(each, sent, setup.lanes, self._note)
                for each in self._surrogates.workers
            ]
        self._setup = setup
        return [self._hub() for _ in range(layout.hubs)]

    def another(self) -> RemoteCarrier | None:
        """Return one more hub, if there are cores for it."""
        with self._starting:
            if self._hubs >= self._layout.most_hubs:
                return None
            found = self._hub()
            *others, hub = self._workers
            if ray.wait([hub.__ray_ready__.remote()], timeout=ROOM)[0]:
                return found
            # The cores are somebody else's: it would sit on its orders.
            ray.kill(hub)
            self._workers, self._hubs = tuple(others), self._hubs - 1
            self._layout = replace(self._layout, most_hubs=self._hubs)
            return None

    def _hub(self) -> RemoteCarrier:
        """Start a hub of the crew that has had the fewest."""
        crews = self._surrogates.crews
        among, number = divmod(self._hubs, len(crews))
        setup = replace(self._setup, crew=crews[number])
        self._hubs += 1
        index = len(self._plan.surrogates) + among
        hub = spawn_hub(self._plan, self._layout, self._modules, self._rooms[number], index)
        self._workers = (*self._workers, hub)
        return RemoteCarrier(hub, ray.put(setup), setup.lanes, self._note, setup.crew)

    def _started(self, modules: OwnModules, first: Any | None) -> list[Any]:
        """Start the surrogates' processes, each crew where it has room."""
        plan, layout = self._plan, self._layout
        if layout.placement == "pinned":
            self._rooms = rooms(layout, len(plan.surrogates))
        return spawn_surrogates(plan, layout, modules, first, self._rooms)

    def close(self) -> None:
        """End the actors: the session may be another's, and go on."""
        for worker in vars(self).get("_workers", ()):
            with contextlib.suppress(ray.exceptions.RayError):
                ray.kill(worker)
        for room in vars(self).get("_rooms", ()):
            with contextlib.suppress(ray.exceptions.RayError):
                room.leave()
        if (written := vars(self).get("_written")) is not None:
            storage, proof = written
            with contextlib.suppress(OSError):
                storage.delete(proof)
                storage.sweep()  # of what a killed process was about to write
                storage.clear()
        # Ray numbers the actors of every session alike: a handle that is collected when another
        # session has begun would end that one's actor.
        for name in ("_workers", "_surrogates", "_targets", "_setup"):
            vars(self).pop(name, None)


def _wait_if_shared(layout: Layout, workers: Sequence[Any], note: Callable[[str], None]) -> None:
    # Small shares that came first could take a part of every GPU, and larger ones wait for ever.
    if layout.surrogate_gpus and layout.target_gpus:
        answers([worker.__ray_ready__.remote() for worker in workers], workers, note)
