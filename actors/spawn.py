"""Starting the processes that hold models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ray

from gauntlet.actors.layout import Layout
from gauntlet.actors.own_modules import NONE, OwnModules
from gauntlet.actors.rooms import Room
from gauntlet.actors.targets import TargetHandles
from gauntlet.actors.turns import CALLS
from gauntlet.actors.workers import Hub, PackedWorker, SurrogateActor, TargetWorker
from gauntlet.pipeline.run.plan import Plan

CALL_RETRIES = 3
"""How often Ray repeats a call whose actor died, restarting the actor each time."""


def spawn_targets(plan: Plan, layout: Layout, modules: OwnModules) -> TargetHandles:
    """Start the target workers, with an equal share of the targets each."""
    names = [spec.name for spec in plan.targets]
    workers = []
    home: dict[str, int] = {}
    for index in range(layout.target_workers):
        share = names[index :: layout.target_workers]
        home |= dict.fromkeys(share, index)
        arguments = (plan, share, layout.threads, modules)
        workers.append(_spawn(TargetWorker, layout, layout.target_gpus, *arguments))
    return TargetHandles(tuple(workers), home)


def spawn_packed(plan: Plan, layout: Layout, modules: OwnModules = NONE) -> Any:
    """Start one packed worker."""
    return _spawn(PackedWorker, layout, layout.surrogate_gpus, plan, layout.threads, modules)


def spawn_surrogates(
    plan: Plan, layout: Layout, modules: OwnModules, first: Any | None, places: Sequence[Room] = ()
) -> list[Any]:
    """Start the packed workers beside the first, or every replica's actors in its room in turn."""
    if layout.placement == "packed":
        workers = [] if first is None else [first]
        while len(workers) < layout.surrogate_workers:
            workers.append(spawn_packed(plan, layout, modules))
        return workers
    gpus, threads = layout.surrogate_gpus, layout.threads
    return [
        _spawn(
            SurrogateActor, layout, gpus, plan, spec.name, threads, modules, place=room.place(index)
        )
        for room in places
        for index, spec in enumerate(plan.surrogates)
    ]


def spawn_hub(plan: Plan, layout: Layout, modules: OwnModules, room: Room, index: int) -> Any:
    """Start a hub, which hears of its crew with its first order.

    Args:
        plan: the run's plan.
        layout: what it may use.
        modules: of the person's own, which its data may come from.
        room: of its crew.
        index: its place there, behind the surrogates.
    """
    gpus, threads = layout.hub_gpus, layout.threads
    return _spawn(Hub, layout, gpus, plan, threads, modules, place=room.place(index))


def _spawn(kind: type, layout: Layout, gpus: float, *arguments: Any, place: Any = "DEFAULT") -> Any:
    options = {
        "num_cpus": layout.cpus,
        "num_gpus": gpus,
        "max_restarts": -1,
        "max_task_retries": CALL_RETRIES,
        "max_concurrency": _at_a_time(kind, layout),
        "scheduling_strategy": place,
    }
    return ray.remote(kind).options(**options).remote(*arguments)


def _at_a_time(kind: type, layout: Layout) -> int:
    """Return how many calls an actor works on at a time."""
    if kind in (PackedWorker, Hub):
        return layout.lanes_of_carrier + 2  # beside the orders: news, and clean images
    return CALLS if kind is SurrogateActor else 1
