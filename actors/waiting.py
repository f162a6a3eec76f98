"""Waiting for actors' answers: as long as they work on them, not while they only start anew.

Ray starts a process again that was killed, for want of memory as often as it takes, and says
nothing: a call would wait for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ray
from ray._private.state import actors

MOST = 6
"""How often one process may start anew before an answer is given up."""
LOOK = 5.0
"""Seconds between two looks at it."""


def answers(calls: Sequence[Any], workers: Sequence[Any], note: Callable[[str], None]) -> list[Any]:
    """Return the answers to calls.

    Args:
        calls: references to them.
        workers: actors that are at work on them, or answer those that are.
        note: told when one of these starts anew.

    Raises:
        GetTimeoutError: when one starts anew again and again.
    """
    before, said = _restarts(workers), 0
    while len(ray.wait(list(calls), num_returns=len(calls), timeout=LOOK)[0]) < len(calls):
        now = _restarts(workers)
        times = max((now[each] - before[each] for each in now), default=0)
        if times > said:
            said = times
            note(
                f"a process with models was lost, and starts anew for the {said}. time; at "
                f"{MOST} it is given up"
            )
        if times >= MOST:
            raise ray.exceptions.GetTimeoutError(
                f"a process with models was lost {times} times before it gave an answer; where "
                "memory is short, a smaller resources.batch, fewer processes, or placement "
                "in-process take less"
            )
    found: list[Any] = ray.get(list(calls))
    return found


def _restarts(workers: Sequence[Any]) -> Mapping[str, int]:
    """Return how often each actor was started anew."""
    return {
        name: int(actors(name).get("NumRestarts", 0))
        for name in (worker._actor_id.hex() for worker in workers)
    }
