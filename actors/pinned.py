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
from gauntlet.pipeline.exchange.sockets import Asked, Caller, Disconnected, reached
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
    """Sends questions as bytes: Ray takes half a millisecond longer for the objects in them.

    On one machine, where their arrays are in shared memory and calls need no turns, they go over a
    socket; Ray's calls do what that cannot: tell of a batch, carry arrays, hand errors on, and wait
    for an actor that is started anew.
    """

    def __init__(self, actor: Any, turns: Turns) -> None:
        self._actor, self._turns = actor, turns
        self._told: deque[str] = deque(maxlen=BATCHES)
        self._caller: Caller | None = None
        self._apart = turns.limited

    def answer(self, verb: Verb, setting: SentSetting, places: Places | None, *arrays: Any) -> Call:
        def call() -> Call:
            return self._ask("answer", setting, pickle.dumps((verb, places)), *arrays)

        if arrays or setting.batch.key not in self._told or (caller := self._reached()) is None:
            return call()
        try:
            return _Direct(
                caller.ask(pickle.dumps((setting.packed, verb, places))), self._broken(call)
            )
        except OSError:
            return self._broken(call)()

    def known(self, setting: SentSetting) -> Call:
        return self._ask("known", setting)

    def _reached(self) -> Caller | None:
        """Return the way to the actor's socket, if there is one."""
        if self._caller is None and not self._apart:
            self._caller = reached(ray.get(self._actor.address.remote()))
            self._apart = self._caller is None
        return self._caller

    def _broken(self, call: Callable[[], Call]) -> Callable[[], Call]:
        """Return the call that is made when a question over the socket was without an answer."""

        def again() -> Call:
            self._caller = None  # the actor may be another process by now
            return call()

        return again

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
class _Direct:
    """A question over a socket."""

    asked: Asked
    again: Callable[[], Call]

    def result(self) -> Any:
        try:
            return pickle.loads(self.asked.result())
        except Disconnected:
            return self.again().result()


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
