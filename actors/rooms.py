"""Room for crews: a hub and its surrogates on one node, where they share memory, if one has room.

On one machine there is nothing to choose; on several, Ray would spread the processes of a crew, and
every gradient would go through the object store.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import ray
from ray.util import placement_group, placement_group_table, remove_placement_group
from ray.util.placement_group import PlacementGroup
from ray.util.scheduling_strategies import (
    NodeAffinitySchedulingStrategy,
    PlacementGroupSchedulingStrategy,
)

from gauntlet.actors.layout import Layout

PATIENCE = 15.0
"""Seconds that a node has to find the room that it has when nobody else works there."""


@dataclass(frozen=True)
class Room:
    """Where the processes of a crew go.

    Attributes:
        group: keeps a place for each: surrogates in the order of the plan, then hubs; None where
            they go wherever Ray puts them.
        together: whether all are on one node.
    """

    group: PlacementGroup | None = None
    together: bool = False

    def place(self, index: int) -> Any:
        """Return the scheduling strategy of one of the processes."""
        if self.group is None:
            return "DEFAULT"
        if index < self.group.bundle_count:
            return PlacementGroupSchedulingStrategy(self.group, index)
        # A hub that is started on the way: beside the others if that node still has room.
        node = next(iter(placement_group_table(self.group)["bundles_to_node_id"].values()))
        return NodeAffinitySchedulingStrategy(node, soft=True)

    def leave(self) -> None:
        """Give the places back."""
        if self.group is not None:
            remove_placement_group(self.group)


ANYWHERE = Room()


def rooms(layout: Layout, surrogates: int, patience: float = PATIENCE) -> list[Room]:
    """Reserve the room of each crew of a pinned run.

    Args:
        layout: the processes, and what each may use.
        surrogates: of a crew.
        patience: seconds to wait for each.
    """
    crews = layout.surrogate_workers // surrogates
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if len(nodes) < 2 or not (layout.cpus or layout.surrogate_gpus):
        return [ANYWHERE] * crews
    found = []
    for number in range(crews):
        hubs = len(range(number, layout.hubs, crews))
        model = _share(layout.cpus, layout.surrogate_gpus)
        hub = _share(layout.cpus, layout.hub_gpus)
        # A hub that needs nothing needs no place: a group takes none without resources.
        places = [model] * surrogates + [hub] * (hubs if hub else 0)
        found.append(_room(places, nodes, patience))
    return found


def words(found: Sequence[Room]) -> str:
    """Return how crews are placed, for the run's notes; nothing on one machine."""
    spread = sum(not room.together for room in found)
    if not spread:
        return "; each hub and its surrogates on one node"
    if all(room is ANYWHERE for room in found):
        return ""
    return (
        f"; {spread} of {len(found)} crews found no node with room for hub and surrogates: their "
        "gradients go through the object store"
    )


def _room(
    places: Sequence[dict[str, float]], nodes: Sequence[Mapping[str, float]], patience: float
) -> Room:
    needed: Counter[str] = Counter()
    for place in places:
        needed.update(place)
    fits = any(all(has.get(kind, 0) >= much for kind, much in needed.items()) for has in nodes)
    if fits and (group := _group(places, "STRICT_PACK", patience)):
        return Room(group, together=True)
    return Room(_group(places, "PACK", patience))


def _group(
    places: Sequence[dict[str, float]], strategy: Literal["STRICT_PACK", "PACK"], patience: float
) -> PlacementGroup | None:
    group = placement_group(list(places), strategy=strategy)
    if group.wait(patience):
        return group
    remove_placement_group(group)
    return None


def _share(cpus: float, gpus: float) -> dict[str, float]:
    return {kind: much for kind, much in (("CPU", cpus), ("GPU", gpus)) if much}
