"""Calls to actors that share fewer cores than they have threads, a few at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class _Call:
    actor: Hashable
    send: Callable[[], Any]
    answer: Future[Any] = field(default_factory=Future)


class Turns:
    """Sends each call when a core is free, to the slowest actor first that is.

    More processes than cores push each other out of the caches, and a step ends with one core
    idle behind its slowest model. An actor has one call at a time, so that none waits in its queue
    while holding a core. GPUs need none of this: there calls queue at the actors.

    Args:
        limit: calls at a time; None sends everything at once.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._waiting: list[_Call] = []
        self._busy: set[Hashable] = set()
        self._seconds: dict[Hashable, float] = {}
        # Reentrant: the answer to a call sent under the lock may be there at once.
        self._lock = threading.RLock()

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
        assert self._limit is not None
        while len(self._busy) < self._limit:
            ready = [call for call in self._waiting if call.actor not in self._busy]
            if not ready:
                return
            call = max(ready, key=lambda call: self._seconds.get(call.actor, 0.0))
            self._waiting.remove(call)
            started = time.monotonic()
            try:
                reference = call.send()
            except BaseException as error:
                call.answer.set_exception(error)
                continue
            self._busy.add(call.actor)
            reference.future().add_done_callback(
                lambda done, call=call, started=started: self._done(call, started, done)
            )

    def _done(self, call: _Call, started: float, done: Future[Any]) -> None:
        with self._lock:
            took = time.monotonic() - started
            self._seconds[call.actor] = (self._seconds.get(call.actor, took) + took) / 2
            self._busy.discard(call.actor)
            self._send_next()
        error = done.exception()
        if error is None:
            call.answer.set_result(done.result())
        else:
            call.answer.set_exception(error)
