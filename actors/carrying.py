"""Carriers in actors: what they need, how the driver reaches them, how they reach their models."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import ray

from gauntlet.actors.batches import PublishedBatches
from gauntlet.actors.losses import LOSSES
from gauntlet.actors.metrics import CountedOracle, CountingLog, Counts
from gauntlet.actors.pinned import PinnedOracle
from gauntlet.actors.shortage import shortage
from gauntlet.actors.targets import TargetHandles, TargetLines, gathered
from gauntlet.actors.turns import Turns
from gauntlet.actors.waiting import Awaited
from gauntlet.actors.wire import Packed
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Batch
from gauntlet.pipeline.data.examples import open_examples
from gauntlet.pipeline.evaluation.gallery import Gallery
from gauntlet.pipeline.exchange.arena import Arena
from gauntlet.pipeline.oracle.turn import Turn
from gauntlet.pipeline.progress import Once
from gauntlet.pipeline.results.manifest import ModelCard, ThresholdRecord
from gauntlet.pipeline.results.run_folder import RunFolder
from gauntlet.pipeline.run.carrier import Carrier
from gauntlet.pipeline.run.engine import Attackable, AttackResult
from gauntlet.pipeline.run.feed import PATIENCE
from gauntlet.pipeline.run.local import LocalSurrogates, narrowed, run_judged
from gauntlet.pipeline.run.order import CleanAnswers, Failed, Item, News, Order, Said, Spent
from gauntlet.pipeline.run.plan import Plan
from gauntlet.pipeline.run.plan_models import device, image_dtype
from gauntlet.pipeline.run.request import Request
from gauntlet.pipeline.run.showing import Showing
from gauntlet.pipeline.run.steps import JudgedSteps

T = TypeVar("T")

WAIT = 60.0
"""Seconds that a carrier has to say what is new, and to write what it has buffered."""


@dataclass(frozen=True)
class Setup:
    """What a carrier needs beside its plan; comes with every order, as its actor may be restarted.

    Attributes:
        targets: handles of the target workers.
        cards: all models', by role and name.
        thresholds: of verification models.
        location: of the run's folder.
        proof: a file in it, by which another machine sees that it is the same folder.
        lanes: orders at a time.
        crew: handles of the surrogates of a hub, in the plan's order.
        calls: most calls of a hub to surrogates at a time; None when each has its own device.
        gallery: decides on success in place of thresholds, if there is one. Packed workers of a
            node share its arrays.
    """

    targets: TargetHandles
    cards: Mapping[str, ModelCard]
    thresholds: Mapping[str, ThresholdRecord]
    location: str
    proof: str
    lanes: int
    crew: tuple[Any, ...] = ()
    calls: int | None = None
    gallery: Gallery | None = None


class CarryingActor(ABC):
    """An actor with a carrier, which is made when its first order comes."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._counts = Counts(plan.name)
        self._log = CountingLog(self._counts)
        self._carrier: Carrier | None = None
        self._making = threading.Lock()

    @abstractmethod
    def _reached(self, setup: Setup) -> Attackable:
        """Return the models, as they are reached from here; asked once."""

    def carry(self, setup: Setup, order: Order) -> None:
        """Carry an order out.

        Raises:
            BadInput: when the data cannot be read here.
            OSError: when rows cannot be stored.
        """
        self._log.expect(order)
        self._made(setup).carry(order)

    def clean(self, setup: Setup, order: Order, names: tuple[str, ...]) -> CleanAnswers:
        """Return what some models say of an order's clean images.

        Raises:
            BadInput: when the data cannot be read here.
        """
        return self._made(setup).clean(order, names)

    def news(self, life: str, heard: int) -> News:
        """Return what happened here."""
        if self._carrier is None:
            return self._log.since(life, heard)
        return self._carrier.news(life, heard)

    def settle(self) -> None:
        """Write what is buffered."""
        if self._carrier is not None:
            self._carrier.settle()

    def _say(self, text: str) -> None:
        self._log.add(Said(text))

    def _made(self, setup: Setup) -> Carrier:
        with self._making:
            if self._carrier is None:
                plan = self._plan
                folder = RunFolder(setup.location)
                reached = folder.exists(setup.proof)
                if not reached:
                    host = socket.gethostname()
                    self._say(f"{host} does not reach the run's folder: its rows go by the driver")
                else:
                    folder.hold()
                self._carrier = Carrier(
                    plan,
                    self._reached(setup),
                    open_examples(plan.data, plan.task.goal, root=plan.root, seed=plan.seed),
                    setup.thresholds,
                    folder if reached else None,
                    setup.lanes,
                    LOSSES,
                    self._log,
                    setup.gallery,
                )
            return self._carrier


class RemoteCarrier:
    """An actor's carrier, as the driver has it.

    Args:
        actor: has `carry`, `news` and `settle`.
        setup: reference to a `Setup`.
        lanes: orders at a time.
        note: told what keeps the actor from answering.
        crew: the actors of the surrogates that a hub alone asks.
    """

    def __init__(
        self,
        actor: Any,
        setup: Any,
        lanes: int,
        note: Callable[[str], None],
        crew: Sequence[Any] = (),
    ) -> None:
        self._actor, self._setup, self.lanes = actor, setup, lanes
        self._crew = tuple(crew)
        self._awaited, self._began = Awaited([actor, *crew], note), time.time()

    def clean(self, order: Order, models: tuple[str, ...]) -> CleanAnswers:
        """Have models look at an order's clean images.

        Raises:
            GetTimeoutError: when the actor is not heard of for as long as `Feed` waits for news, or
                starts anew again and again.
        """
        call = self._actor.clean.remote(self._setup, order, models)
        unheard = 0
        while not ray.wait([call], timeout=WAIT)[0]:
            self._awaited.look()
            # A look may take long, but who is at it answers.
            answers, _ = ray.wait([self._actor.news.remote("", 0)], timeout=WAIT)
            unheard = 0 if answers else unheard + 1
            if unheard == PATIENCE:
                raise ray.exceptions.GetTimeoutError(
                    "a carrier that was asked about clean images does not answer: "
                    f"{self._awaited.reason()}"
                )
        found: CleanAnswers = ray.get(call)
        return found

    def carry(self, order: Order) -> None:
        """Have an order carried out; what is lost with the actor, the driver hands out again.

        Raises:
            OutOfMemoryError: when Ray killed a process for its memory meanwhile; with the figures.
        """
        began = time.time()
        try:
            ray.get(self._actor.carry.options(max_task_retries=0).remote(self._setup, order))
        except LOSSES as error:
            if figures := shortage(began):
                raise ray.exceptions.OutOfMemoryError(figures) from error
            raise

    def news(self, life: str, heard: int) -> News:
        """Return the carrier's news.

        Raises:
            GetTimeoutError: when none come in time, or the actor is out of reach for so long: Ray
                may not have noticed yet that its node is gone.
        """
        until = time.monotonic() + WAIT
        while True:
            try:
                found: News = ray.get(self._actor.news.remote(life, heard), timeout=WAIT)
            except ray.exceptions.GetTimeoutError as error:
                raise ray.exceptions.GetTimeoutError(self._awaited.reason()) from error
            except ray.exceptions.ActorUnavailableError as error:
                if time.monotonic() > until:
                    raise ray.exceptions.GetTimeoutError(str(error)) from error
                time.sleep(1)
            else:
                return replace(found, items=tuple(map(self._explained, found.items)))

    def _explained(self, item: Item) -> Item:
        """Add the figures to a unit that failed with a process that was killed for its memory."""
        if isinstance(item, Failed) and item.short and (figures := shortage(self._began)):
            return replace(item, reason=f"{item.reason}; {figures}")
        return item

    def settle(self) -> None:
        """Have it write what is buffered."""
        ray.get(self._actor.settle.remote(), timeout=WAIT)

    def renew(self) -> bool:
        """Have its processes started anew."""
        for actor in (self._actor, *self._crew):
            ray.kill(actor, no_restart=False)
        return True


class PackedModels:
    """A packed worker's models: the surrogates are in its process."""

    def __init__(self, surrogates: LocalSurrogates, device: threading.Lock, setup: Setup) -> None:
        self._surrogates, self._device = surrogates, device
        self._targets, self.cards = TargetLines(setup.targets, Arena()), setup.cards

    def attack(
        self,
        attack: Attack,
        batch: Batch,
        judged: JudgedSteps | None = None,
        rows_per_pass: int | None = None,
    ) -> AttackResult:
        """Attack a batch, when no other is attacked here."""
        with self._device:
            show = self._targets.show
            return self._surrogates.attack(attack, batch, judged, show, rows_per_pass)

    def ask(self, models: Sequence[str], request: Request[T]) -> dict[str, T]:
        """Have models answer: targets while the surrogates do."""
        targets = [name for name in models if name in self._targets.names]
        answers = self._targets.ask(targets, request)
        own = self._surrogates.models
        with self._device:
            found = {name: request.of(own[name]) for name in models if name not in targets}
        found |= answers()
        return {name: found[name] for name in models}


class HubModels:
    """A hub's models: all are in other processes, and the loop runs in the thread that calls.

    Args:
        plan: the run's plan.
        setup: of the carrier.
        tell: told of what slows the work down, and where the time of each loop went.
        counts: of the process.
    """

    def __init__(
        self, plan: Plan, setup: Setup, tell: Callable[[Item], None], counts: Counts
    ) -> None:
        self._counts = counts
        self._plan, self.cards = plan, setup.cards
        self._targets = TargetLines(setup.targets, Arena())
        names = [spec.name for spec in plan.surrogates]
        self._homes = dict(zip(names, setup.crew, strict=True))
        batches, turns = PublishedBatches(keep=setup.lanes + 2), Turns(setup.calls)
        self._free: queue.SimpleQueue[PinnedOracle] = queue.SimpleQueue()
        arena, once = Arena(device=device()), Once(lambda text: tell(Said(text)))
        self._turn, self._tell = Turn(), tell
        for _ in range(setup.lanes):
            oracle = PinnedOracle(
                names,
                setup.crew,
                batches,
                turns,
                arena,
                device=device(),
                waiting=self._turn.left,
                note=once,
            )
            self._free.put(oracle)

    def attack(
        self,
        attack: Attack,
        batch: Batch,
        judged: JudgedSteps | None = None,
        rows_per_pass: int | None = None,
    ) -> AttackResult:
        """Run the loop on the hub's device, asking the actors at every step."""
        moved = batch.to(device(), image_dtype(self._plan.resources))
        with self._next_free() as oracle, self._turn:
            started, before = time.perf_counter(), oracle.waited
            counted = CountedOracle(oracle, self._counts, "hub_waiting_seconds")
            asked = narrowed(counted, rows_per_pass)
            found = run_judged(self._plan, attack, moved, asked, judged, self._show)
            waited = oracle.waited - before
        if judged is None:  # else it has waited for the targets, too
            self._tell(Spent(time.perf_counter() - started - waited, waited))
        return found

    def ask(self, models: Sequence[str], request: Request[T]) -> dict[str, T]:
        """Have models answer, all at the same time."""
        targets = [name for name in models if name in self._targets.names]
        others = [name for name in models if name not in targets]
        answers = self._targets.ask(targets, request)
        sent = ray.put(Packed.of(request)) if others else None
        found = gathered([self._homes[name].ask.remote([name], sent) for name in others])
        found |= answers()
        return {name: found[name] for name in models}

    def _show(self, showing: Showing) -> Callable[[], dict[str, np.ndarray]]:
        outputs = self._targets.show(showing)

        def found() -> dict[str, np.ndarray]:
            with self._turn.left():
                return outputs()

        return found

    @contextlib.contextmanager
    def _next_free(self) -> Iterator[PinnedOracle]:
        free = self._free.get()
        try:
            yield free
        finally:
            self._free.put(free)
