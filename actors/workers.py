"""The processes that hold models: one surrogate, all surrogates, or a share of the targets.

None of them has state that a restart could not rebuild from the plan, but for rows that wait for
their part: what those came from is done again.
"""

from __future__ import annotations

import os
import pickle
import resource
import sys
import threading
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import ray
import torch

from gauntlet.actors.batches import ReceivedBatches, StoredBatch
from gauntlet.actors.carrying import CarryingActor, HubModels, PackedModels, Setup
from gauntlet.actors.metrics import CountedOracle, Counts, Idle
from gauntlet.actors.own_modules import OwnModules
from gauntlet.actors.wire import Packed
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Batch
from gauntlet.pipeline.data.archive import forget
from gauntlet.pipeline.exchange.mapped import Mapped
from gauntlet.pipeline.exchange.sockets import Address, Listener
from gauntlet.pipeline.models.model import Model
from gauntlet.pipeline.oracle.desk import Desk
from gauntlet.pipeline.oracle.places import Sent
from gauntlet.pipeline.oracle.responder import Responder
from gauntlet.pipeline.results.manifest import ModelCard
from gauntlet.pipeline.run.local import LocalSurrogates
from gauntlet.pipeline.run.plan import Plan
from gauntlet.pipeline.run.plan_models import (
    build_surrogate,
    build_target,
    configure,
    device,
    image_dtype,
)
from gauntlet.pipeline.run.request import Request

T = TypeVar("T")


def keep_to_share(gpus: Sequence[str]) -> None:
    """Hide the GPUs of the machine from a process that Ray gave none; before CUDA starts."""
    # Ray itself leaves the variable alone at a share of 0, and a cluster may be another's to set.
    if not gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


class ModelWorker:
    """A process with models, which answers requests to them."""

    _models: dict[str, Model]
    _cards: dict[str, ModelCard]

    def __init__(self, plan: Plan, threads: int | None) -> None:
        keep_to_share(ray.get_runtime_context().get_accelerator_ids().get("GPU", []))
        configure(plan.resources, threads)

    def cards(self) -> dict[str, ModelCard]:
        """Return the models' cards by role and name."""
        return dict(self._cards)

    def prepare(self, request: Request[T]) -> Packed[Request[T]]:
        """Return a request whose images are decoded."""
        ready = request.prepared()
        forget()
        return Packed.of(ready)

    def ask(self, names: Sequence[str], request: Packed[Request[T]]) -> dict[str, T]:
        """Return the answers of some of the models, by name."""
        given = request.unpack()
        return {name: given.of(self._models[name]) for name in names}


class SurrogateActor(ModelWorker):
    """One surrogate, answering queries, two at a time: the pinned placement."""

    def __init__(self, plan: Plan, name: str, threads: int | None, modules: OwnModules) -> None:
        super().__init__(plan, threads)
        spec = next(spec for spec in plan.surrogates if spec.name == name)
        model, card = build_surrogate(spec, plan, modules.permission())
        self._models, self._cards = {model.name: model}, {f"surrogate/{card.name}": card}
        responder = Responder(model, rows_per_pass=plan.resources.rows_per_pass)
        self._desk = Desk(responder, device())
        self._idle = Idle(Counts(plan.name), "surrogate_waiting_seconds")
        self._batches = ReceivedBatches(device(), image_dtype(plan.resources))
        self._listener = Listener(self._directly)

    def address(self) -> Address | None:
        """Return where hubs of this machine may ask; None where they cannot."""
        return self._listener.address

    def _directly(self, question: bytes) -> bytes:
        """Answer a question that came over the socket."""
        setting, verb, places = pickle.loads(question)
        with self._idle.busy():
            whole = self._batches.whole(setting, None)
            return pickle.dumps(self._desk.answer(verb, whole, places))

    def answer(
        self, setting: bytes, batch: StoredBatch | None, asked: bytes, *arrays: np.ndarray | None
    ) -> tuple[Sent, ...]:
        """Return the answer to a question.

        Args:
            setting: a `SentSetting`'s.
            batch: where its batch is; None when that was told before.
            asked: what is asked, and where its arrays are: see `Desk.answer`.
            arrays: the arrays themselves, if they are nowhere else.

        Raises:
            UnknownBatch: when the batch is to be told, too.
        """
        verb, places = pickle.loads(asked)
        with self._idle.busy():
            return self._desk.answer(verb, self._batches.whole(setting, batch), places, *arrays)

    def known(self, setting: bytes, batch: StoredBatch | None) -> dict[str, np.ndarray]:
        """Return what the query needs to know of the batch, by name, each (B, ...)."""
        return self._desk.known(self._batches.whole(setting, batch))

    def ask(self, names: Sequence[str], request: Packed[Request[T]]) -> dict[str, T]:
        """Return the model's answer, when it has no question to answer."""
        with self._desk.model:
            return super().ask(names, request)


class PackedWorker(ModelWorker, CarryingActor):
    """All surrogates and the loop: the packed placement. Workers split the examples."""

    def __init__(self, plan: Plan, threads: int | None, modules: OwnModules) -> None:
        ModelWorker.__init__(self, plan, threads)
        CarryingActor.__init__(self, plan)
        counts = self._counts
        self._surrogates = LocalSurrogates(
            plan, modules.permission(), watched=lambda oracle: CountedOracle(oracle, counts)
        )
        self._models, self._cards = self._surrogates.models, self._surrogates.cards
        self._device = threading.Lock()

    def ask(self, names: Sequence[str], request: Packed[Request[T]]) -> dict[str, T]:
        """Return the answers of some of the models, when no batch is attacked."""
        with self._device:
            return super().ask(names, request)

    def _reached(self, setup: Setup) -> PackedModels:
        return PackedModels(self._surrogates, self._device, setup)

    def measure(self, attack: Attack, batch: Packed[Batch]) -> int:
        """Return the peak memory in bytes, on this worker's device, of one update of an attack."""
        once = attack.model_copy(update={"steps": 1, "step_size": attack.alpha})
        self._surrogates.attack(once, batch.unpack())
        if torch.cuda.is_available():
            return int(torch.cuda.max_memory_allocated())
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return int(peak if sys.platform == "darwin" else peak * 1024)


class Hub(CarryingActor):
    """Runs the loops of a crew of pinned surrogates; has no model of its own."""

    def __init__(self, plan: Plan, threads: int, modules: OwnModules) -> None:
        keep_to_share(ray.get_runtime_context().get_accelerator_ids().get("GPU", []))
        configure(plan.resources, threads)
        modules.permission()
        super().__init__(plan)

    def _reached(self, setup: Setup) -> HubModels:
        return HubModels(self._plan, setup, self._log.add, self._counts)


class TargetWorker(ModelWorker):
    """A share of the targets."""

    def __init__(
        self, plan: Plan, names: Sequence[str], threads: int | None, modules: OwnModules
    ) -> None:
        super().__init__(plan, threads)
        permission = modules.permission()
        wanted = [spec for spec in plan.targets if spec.name in names]
        built = [build_target(spec, plan, permission) for spec in wanted]
        self._models = {model.name: model for model, _ in built}
        self._cards = {f"target/{card.name}": card for _, card in built}
        self._asking, self._mapped = threading.Lock(), Mapped()
        self._listener = Listener(self._directly)

    def address(self) -> Address | None:
        """Return where carriers of this machine may ask; None where they cannot."""
        return self._listener.address

    def ask(self, names: Sequence[str], request: Packed[Request[T]]) -> dict[str, T]:
        """Return the answers of some of the models, when they have no others to give."""
        with self._asking:
            return super().ask(names, request)

    def _directly(self, question: bytes) -> bytes:
        """Answer a question that came over the socket."""
        names, letter = pickle.loads(question)
        return pickle.dumps(self.ask(names, letter.read(self._mapped)))
