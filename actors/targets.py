"""How target workers are reached, from the driver or from another worker."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, TypeVar

import numpy as np
import ray

from gauntlet.actors.wire import Packed
from gauntlet.pipeline.exchange.arena import Area, Arena
from gauntlet.pipeline.exchange.letter import Letter
from gauntlet.pipeline.exchange.sockets import Caller, Disconnected, reached
from gauntlet.pipeline.run.request import Request
from gauntlet.pipeline.run.showing import Showing

T = TypeVar("T")


@dataclass(frozen=True)
class TargetHandles:
    """Handles of the target workers; they travel to whoever has images to show.

    Attributes:
        workers: the workers.
        home: index of the worker that holds each target, by name.
    """

    workers: tuple[Any, ...]
    home: Mapping[str, int]

    def cards(self) -> list[Any]:
        """Ask for the targets' cards, which are there when all are loaded."""
        return [worker.cards.remote() for worker in self.workers]

    def prepare(self, request: Request[T]) -> Any:
        """Have a worker read what a request needs; return a reference to the packed request."""
        return self.workers[0].prepare.remote(request)

    def shares(self, names: Sequence[str]) -> dict[int, list[str]]:
        """Return which of some targets each worker holds that holds any."""
        shares: dict[int, list[str]] = {}
        for name in names:
            shares.setdefault(self.home[name], []).append(name)
        return shares

    def ask(self, names: Sequence[str], request: Any) -> list[Any]:
        """Ask the workers that hold the named targets; return references to their answers.

        Args:
            names: of targets.
            request: reference to a packed one, which is in the object store once for all workers.
        """
        return [
            self.workers[index].ask.remote(share, request)
            for index, share in self.shares(names).items()
        ]


class TargetLines:
    """The target workers as a carrier reaches them; safe to use from threads.

    To those of its machine a question goes over a socket, with its arrays in memory that is shared:
    Ray's calls cost both sides milliseconds. They remain for the others, and where a socket breaks.

    Args:
        handles: of the workers.
        arena: memory of this process.
    """

    def __init__(self, handles: TargetHandles, arena: Arena) -> None:
        self._handles, self._arena = handles, arena
        self._callers: dict[int, Caller | None] = {}
        self._lock = threading.Lock()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all targets."""
        return tuple(self._handles.home)

    def ask(self, names: Sequence[str], request: Request[T]) -> Callable[[], dict[str, T]]:
        """Start to ask targets; what is returned waits for their answers, by name."""
        packed = Packed.of(request)
        put = cache(lambda: ray.put(packed))
        shares = self._handles.shares(names)
        callers = {index: self._caller(index) for index in shares}
        letter, area = self._letter(packed) if any(callers.values()) else (None, None)
        waits = []
        for index, share in shares.items():

            def over_ray(index: int = index, share: list[str] = share) -> Any:
                return self._handles.workers[index].ask.remote(share, put())

            caller = callers[index]
            if caller is None or letter is None:
                waits.append(_over_ray(over_ray))
            else:
                waits.append(self._over_socket(index, caller, (share, letter), over_ray))
        return _Answers(tuple(names), waits, area)

    def show(self, showing: Showing) -> Callable[[], dict[str, np.ndarray]]:
        """Start to show images to all targets; what is returned waits for their outputs."""
        return self.ask(self.names, showing)

    def _over_socket(
        self, index: int, caller: Caller, question: Any, over_ray: Callable[[], Any]
    ) -> Callable[[], dict[str, Any]]:
        try:
            asked = caller.ask(pickle.dumps(question))
        except OSError:
            self._forget(index)
            return _over_ray(over_ray)

        def answers() -> dict[str, Any]:
            try:
                found: dict[str, Any] = pickle.loads(asked.result())
            except Disconnected:
                self._forget(index)
                found = ray.get(over_ray())
            return found

        return answers

    def _letter(self, packed: Packed[Any]) -> tuple[Letter, Area] | tuple[None, None]:
        try:
            return Letter.of(packed, self._arena)
        except OSError:
            return None, None

    def _caller(self, index: int) -> Caller | None:
        """Return the way to a worker's socket, if there is one."""
        with self._lock:
            if index not in self._callers:
                address = ray.get(self._handles.workers[index].address.remote())
                self._callers[index] = reached(address)
            return self._callers[index]

    def _forget(self, index: int) -> None:
        """Look for a worker's socket anew: it may be another process by now."""
        with self._lock:
            self._callers.pop(index, None)


@dataclass(frozen=True)
class _Answers(Generic[T]):
    """Waits for answers.

    Attributes:
        names: of the targets.
        waits: for the answers of a worker each.
        area: on loan until nobody reads what was asked any more.
    """

    names: tuple[str, ...]
    waits: Sequence[Callable[[], dict[str, T]]]
    area: Area | None

    def __call__(self) -> dict[str, T]:
        found: dict[str, T] = {}
        for wait in self.waits:
            found |= wait()
        return {name: found[name] for name in self.names}


def _over_ray(ask: Callable[[], Any]) -> Callable[[], dict[str, Any]]:
    call = ask()
    return lambda: ray.get(call)


def gathered(calls: Sequence[Any]) -> dict[str, Any]:
    """Wait for workers' answers, and put them together by name."""
    return merged(ray.get(list(calls)))


def merged(answers: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Put workers' answers together by name."""
    found: dict[str, Any] = {}
    for part in answers:
        found |= part
    return found
