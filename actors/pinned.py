"""The oracle whose surrogates are actors."""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import ray
import torch
from torch import Tensor

from gauntlet.actors.batches import (
    BATCHES,
    PublishedBatches,
    SentSetting,
    StoredBatch,
    UnknownBatch,
)
from gauntlet.actors.turns import Turns
from gauntlet.pipeline.attacks.messages import Setting
from gauntlet.pipeline.exchange.arena import Arena
from gauntlet.pipeline.oracle.desk import Verb
from gauntlet.pipeline.oracle.places import Places, array
from gauntlet.pipeline.oracle.remote import Call, RemoteOracle


class PinnedOracle(RemoteOracle):
    """Asks actors: over shared memory where they are on this machine, else the object store.

    Args:
        names: of the surrogates.
        actors: a `SurrogateActor` each.
        batches: those that this process has published.
        turns: when a call is sent.
        arena: memory of this process.
        device: of the points and of the answers.
        waiting: entered whenever answers are waited for.
        note: told of arrays that cannot be shared, and why.
    """

    def __init__(
        self,
        names: Sequence[str],
        actors: Sequence[Any],
        batches: PublishedBatches,
        turns: Turns,
        arena: Arena,
        *,
        device: torch.device | str = "cpu",
        waiting: Callable[[], AbstractContextManager[None]] = nullcontext,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        lines = [_ActorLine(actor, turns) for actor in actors]
        super().__init__(names, lines, arena, device=device, waiting=waiting, note=note)
        self._batches = batches

    def _packed(self, setting: Setting) -> SentSetting:
        return SentSetting.of(setting, self._batches.publish(setting.batch))

    def _put(self, points: Tensor) -> Any:
        return ray.put(array(points))


class _ActorLine:
    """Sends questions as bytes: Ray takes half a millisecond longer for the objects in them."""

    def __init__(self, actor: Any, turns: Turns) -> None:
        self._actor, self._turns = actor, turns
        self._told: deque[str] = deque(maxlen=BATCHES)

    def answer(self, verb: Verb, setting: SentSetting, places: Places | None, *arrays: Any) -> Call:
        return self._ask("answer", setting, pickle.dumps((verb, places)), *arrays)

    def known(self, setting: SentSetting) -> Call:
        return self._ask("known", setting)

    def _ask(self, method: str, setting: SentSetting, *arguments: Any) -> Call:
        def ask(batch: StoredBatch | None) -> Future[Any]:
            def send() -> Any:
                return getattr(self._actor, method).remote(setting.packed, batch, *arguments)

            return self._turns.ask(id(self._actor), send)

        if setting.batch.key in self._told:
            return _Told(ask(None), lambda: ask(setting.batch))
        self._told.append(setting.batch.key)
        return ask(setting.batch)


@dataclass(frozen=True)
class _Told:
    """A call to an actor that was told where the batch is, and may have been restarted since."""

    call: Future[Any]
    again: Callable[[], Future[Any]]

    def result(self) -> Any:
        try:
            return self.call.result()
        except UnknownBatch:
            return self.again().result()
