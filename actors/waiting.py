"""Waiting for actors' answers: as long as they work on them, not while they only start anew.

Ray starts a process again that was killed, for want of memory as often as it takes, keeps one that
no node has room for until there is, and says nothing of either: a call would wait for ever.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import ray
from ray._private.state import actors

MOST = 6
"""How often one process may start anew before an answer is given up."""
LOOK = 5.0
"""Seconds between two looks at it."""
EVERY, AT_WORK = 60.0, 300.0
"""Seconds after which it is said, again and again, that actors have no node, or take long."""
NO_ROOM = "no node has room for it: other work takes it, or a node is still to be added"
"""Why an actor has not started that has no node."""


def answers(calls: Sequence[Any], workers: Sequence[Any], note: Callable[[str], None]) -> list[Any]:
    """Return the answers to calls.

    Args:
        calls: references to them.
        workers: actors that are at work on them, or answer those that are.
        note: told when one of these starts anew, and when they keep this waiting.

    Raises:
        GetTimeoutError: when one starts anew again and again.
    """
    awaited = Awaited(workers, note)
    while len(ray.wait(list(calls), num_returns=len(calls), timeout=LOOK)[0]) < len(calls):
        awaited.look()
    found: list[Any] = ray.get(list(calls))
    return found


class Awaited:
    """Actors whose answers are waited for; says what keeps them, safe to use from threads.

    Args:
        workers: the actors.
        note: told of it.
    """

    def __init__(self, workers: Sequence[Any], note: Callable[[str], None]) -> None:
        self._names = [worker._actor_id.hex() for worker in workers]
        self._note, self._lock = note, threading.Lock()
        self._before = {name: _restarts(actors(name)) for name in self._names}
        self._restarted, self._since = 0, time.monotonic()
        self._told = self._since

    def look(self) -> None:
        """Look at them once.

        Raises:
            GetTimeoutError: when one starts anew again and again.
        """
        with self._lock:
            now = {name: actors(name) for name in self._names}
            times = max((_restarts(now[name]) - self._before[name] for name in now), default=0)
            if times > self._restarted:
                self._restarted = times
                self._note(
                    f"a process with models was lost, and starts anew for the {times}. time; at "
                    f"{MOST} it is given up"
                )
            if times >= MOST:
                raise ray.exceptions.GetTimeoutError(
                    f"a process with models was lost {times} times before it gave an answer; where "
                    "memory is short, a smaller resources.batch, fewer processes, or placement "
                    "in-process take less"
                )
            homeless = sum(map(_homeless, now.values()))
            if time.monotonic() >= self._told + (EVERY if homeless else AT_WORK):
                self._told = time.monotonic()
                self._note(self._waits(homeless))

    def reason(self) -> str:
        """Return why the first of them may be silent."""
        return NO_ROOM if _homeless(actors(self._names[0])) else "it may be starting anew"

    def _waits(self, homeless: int) -> str:
        minutes = (time.monotonic() - self._since) / 60
        waits = f"waiting for processes with models, for {minutes:.0f} min so far"
        return f"{waits}: {homeless} of {len(self._names)}: {NO_ROOM}" if homeless else waits


def _restarts(actor: dict[str, Any]) -> int:
    return int(actor.get("NumRestarts", 0))


def _homeless(actor: dict[str, Any]) -> bool:
    """Return whether an actor is to start, and has no process on any node to start in."""
    starts = actor.get("State") in ("DEPENDENCIES_UNREADY", "PENDING_CREATION", "RESTARTING")
    return starts and not actor["Address"]["IPAddress"]
