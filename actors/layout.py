"""How many processes hold what: what a placement decides."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Layout:
    """How many processes hold what, and what each may use.

    Attributes:
        placement: packed or pinned.
        surrogate_workers: packed: workers; pinned: actors, replicas included.
        target_workers: processes that the targets are spread over.
        threads: CPU threads of each process.
        cpus: Ray CPUs that each process reserves.
        surrogate_gpus: GPU share of each surrogate process.
        target_gpus: GPU share of each target process.
        hub_gpus: GPU share of each hub.
        hubs: pinned: processes that run the loops, to begin with.
        most_hubs: how many there may become, when these are the limit.
        lanes: units in flight.
        calls: pinned: most calls to surrogates at a time; None when each has its own device.
        reason: why.
    """

    placement: Literal["packed", "pinned"]
    surrogate_workers: int
    target_workers: int
    threads: int
    cpus: float
    surrogate_gpus: float
    target_gpus: float
    hub_gpus: float
    hubs: int
    most_hubs: int
    lanes: int
    calls: int | None
    reason: str

    @property
    def lanes_of_carrier(self) -> int:
        """Units in flight at a packed worker, or at a hub."""
        return math.ceil(self.lanes / (self.hubs or self.surrogate_workers))

    @property
    def calls_of_hub(self) -> int | None:
        """Calls at a time of one hub."""
        return None if self.calls is None else max(1, self.calls // max(1, self.hubs))

    @property
    def summary(self) -> str:
        """The processes in words."""
        hubs = f", {self.hubs} hub{'s' if self.hubs > 1 else ''} for the loops" if self.hubs else ""
        hubs += f" with {self.hub_gpus:g} GPU each" if self.hub_gpus else ""
        gpus = f", {self.surrogate_gpus:g} GPU each" if self.surrogate_gpus else ", on the CPU"
        return (
            f"{self.placement}: {self.surrogate_workers} surrogate processes of "
            f"{self.threads} threads{gpus}{hubs}, {self.target_workers} for targets, "
            f"{self.lanes} units in flight"
        )
