"""The surrogates' actors, as the driver asks them about clean images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gauntlet.pipeline.run.plan import Plan


class SurrogateHandles:
    """Handles of the actors that hold surrogates: all of them each, or one each.

    Args:
        plan: the run's plan.
        placement: ``packed`` or ``pinned``.
        workers: the actors; pinned ones crew by crew, each in the order of the plan.
    """

    def __init__(self, plan: Plan, placement: str, workers: Sequence[Any]) -> None:
        names = [spec.name for spec in plan.surrogates]
        self.workers = tuple(workers)
        size = 1 if placement == "packed" else len(names)
        self.crews = [self.workers[at : at + size] for at in range(0, len(workers), size)]
        self._packed, self._names = placement == "packed", names

    def cards(self) -> list[Any]:
        """Ask for the surrogates' cards, which are there when all are loaded."""
        return [actor.cards.remote() for actor in self.workers]

    def ask(self, names: Sequence[str], request: Any) -> list[Any]:
        """Have surrogates answer a packed request; return references to their answers."""
        if self._packed:  # the workers share them
            count = min(len(names), len(self.workers))
            shares = [names[at::count] for at in range(count)]
            pairs = zip(self.workers, shares, strict=False)
            return [worker.ask.remote(share, request) for worker, share in pairs]
        homes = dict(zip(self._names, self.crews[0], strict=True))
        return [homes[name].ask.remote([name], request) for name in names]
