"""How target workers are reached, from the driver or from another worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import ray

from gauntlet.actors.wire import Packed
from gauntlet.pipeline.results.manifest import ModelCard
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

    def cards(self) -> dict[str, ModelCard]:
        """Return all targets' cards; waits until they are loaded."""
        return gathered([worker.cards.remote() for worker in self.workers])

    def prepare(self, request: Request[T]) -> Any:
        """Have a worker read what a request needs; return a reference to the packed request."""
        return self.workers[0].prepare.remote(request)

    def ask(self, names: Sequence[str], request: Any) -> list[Any]:
        """Ask the workers that hold the named targets; return references to their answers.

        Args:
            names: of targets.
            request: reference to a packed one, which is in the object store once for all workers.
        """
        calls = []
        for index, worker in enumerate(self.workers):
            share = [name for name in names if self.home[name] == index]
            if share:
                calls.append(worker.ask.remote(share, request))
        return calls

    def show(self, showing: Showing) -> Callable[[], dict[str, np.ndarray]]:
        """Start to show images to all targets; what is returned waits for their outputs."""
        calls = self.ask(tuple(self.home), ray.put(Packed.of(showing)))
        return lambda: gathered(calls)


def gathered(calls: Sequence[Any]) -> dict[str, Any]:
    """Wait for workers' answers, and put them together by name."""
    found: dict[str, Any] = {}
    for part in ray.get(list(calls)):
        found |= part
    return found
