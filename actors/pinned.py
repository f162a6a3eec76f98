"""The oracle whose surrogates are actors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import ray
import torch
from torch import Tensor

from gauntlet.actors.batches import PublishedBatches
from gauntlet.actors.turns import Turns
from gauntlet.actors.wire import Packed
from gauntlet.pipeline.attacks.messages import Setting
from gauntlet.pipeline.exchange.arena import Arena
from gauntlet.pipeline.oracle.places import array
from gauntlet.pipeline.oracle.remote import RemoteOracle


class PinnedOracle(RemoteOracle):
    """Asks actors: over shared memory where they are on this machine, else the object store.

    Args:
        names: of the surrogates.
        actors: a `SurrogateActor` each.
        batches: those that this process has published.
        turns: when a call is sent.
        arena: memory of this process.
        device: of the points and of the answers.
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
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        lines = [_ActorLine(actor, turns) for actor in actors]
        super().__init__(names, lines, arena, device=device, note=note)
        self._batches = batches

    def _packed(self, setting: Setting) -> Packed[Setting]:
        return Packed.of(setting, batch=self._batches.publish(setting.batch))

    def _put(self, points: Tensor) -> Any:
        return ray.put(array(points))


class _ActorLine:
    def __init__(self, actor: Any, turns: Turns) -> None:
        self._actor, self._turns = actor, turns

    def answer(self, *arguments: Any) -> Future[Any]:
        return self._turns.ask(id(self._actor), lambda: self._actor.answer.remote(*arguments))

    def known(self, setting: Packed[Setting]) -> Future[Any]:
        return self._turns.ask(id(self._actor), lambda: self._actor.known.remote(setting))
