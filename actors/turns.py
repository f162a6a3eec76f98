"""Calls to actors that share fewer cores than they have threads, a few at a time."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

CALLS = 2
"""Calls that an actor has at a time: what surrounds one's work is done beside the other's."""


@dataclass(frozen=True)
class _Call:
    actor: Hashable
    send: Callable[[], Any]
    answer: Future[Any] = field(default_factory=Future)


class Turns:
    """Sends each call when a core is free, to the slowest actor first that is.

    More processes than cores push each other out of the caches, and a step ends with one core
    idle behind its slowest model. An actor has a second call when nobody who is idle waits for
    one: it works on it as soon as it is done with the first. GPUs need none of this: there calls
    queue at the actors.

    Args:
        limit: actors with calls at a time; None sends everything at once.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._waiting: list[_Call] = []
        self._out: Counter[Hashable] = Counter()
        self._seconds: dict[Hashable, float] = {}
        self._done_at: dict[Hashable, float] = {}
        # Reentrant: the answer to a call sent under the lock may be there at once.
        self._lock = threading.RLock()

    @property
    def limited(self) -> bool:
        """Whether calls may have to wait until others are done."""
        return self._limit is not None

    def ask(self, actor: Hashable, send: Callable[[], Any]) -> Future[Any]:
        """Return the future answer of a call.

        Args:
            actor: who will answer.
            send: makes the call and returns its Ray object reference.
        """
        if self._limit is None:
            future: Future[Any] = send().future()
            return future
        call = _Call(actor, send)
        with self._lock:
            self._waiting.append(call)
            self._send_next()
        return call.answer

    def _send_next(self) -> None:
        while ready := self._ready():
            call = max(ready, key=lambda call: self._seconds.get(call.actor, 0.0))
            self._waiting.remove(call)
            started = time.monotonic()
            try:
                reference = call.send()
            except BaseException as error:
                call.answer.set_exception(error)
                continue
            self._out[call.actor] += 1
            reference.future().add_done_callback(
                lambda done, call=call, started=started: self._done(call, started, done)
            )

    def _ready(self) -> list[_Call]:
        """Return the calls one of which is to be sent now."""
        idle = [call for call in self._waiting if not self._out[call.actor]]
        if idle:
            busy = sum(count > 0 for count in self._out.values())
            return idle if self._limit is None or busy < self._limit else []
        return [call for call in self._waiting if self._out[call.actor] < CALLS]

    def _done(self, call: _Call, started: float, done: Future[Any]) -> None:
        with self._lock:
            now = time.monotonic()
            # Until the one before it was done, it waited.
            took = now - max(started, self._done_at.get(call.actor, started))
            self._done_at[call.actor] = now
            self._seconds[call.actor] = (self._seconds.get(call.actor, took) + took) / 2
            self._out[call.actor] -= 1
            self._send_next()
        error = done.exception()
        if error is None:
            call.answer.set_result(done.result())
        else:
            call.answer.set_exception(error)
