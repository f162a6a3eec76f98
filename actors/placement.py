"""Where the models go: a decision from the plan and the devices at hand, with its reason."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

from pipeline.run.plan import Plan, Resources


@dataclass(frozen=True)
class Devices:
    """What a cluster offers.

    Attributes:
        cpus: CPU cores.
        gpus: GPUs.
        memory: bytes of memory of one worker's device (a GPU's, or the machine's).
    """

    cpus: int
    gpus: int
    memory: int


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
    lanes: int
    calls: int | None
    reason: str


def local_memory() -> int:
    """Return the bytes of memory that this machine has free."""
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def lay_out(plan: Plan, devices: Devices, placement: str, reason: str) -> Layout:
    """Return the layout of a packed or pinned run.

    On CPUs every process gets an equal share of the cores. On GPUs a surrogate process gets a whole
    one by default, and the targets share one.
    """
    wanted = plan.resources
    gpus = devices.gpus
    pinned = placement == "pinned"
    if pinned:
        workers = len(plan.surrogates) * wanted.replicas
    elif wanted.workers != "auto":
        workers = int(wanted.workers)
    else:
        workers = max(1, gpus) if gpus else max(1, devices.cpus // _threads(wanted, 1))
    surrogate_gpus = _share(wanted.surrogate_gpus, 1.0 if gpus >= workers else gpus / workers)
    asked = wanted.target_workers
    targets = min(len(plan.targets), max(1, gpus) if asked == "auto" else int(asked))
    left = max(0.0, gpus - surrogate_gpus * workers)
    # With no GPU left over, targets run on the CPU unless the job gives them a share.
    target_gpus = _share(wanted.target_gpus, min(1.0, left / targets))
    processes = workers + targets
    usual = 2 * wanted.replicas if pinned else workers + 1
    lanes = usual if wanted.in_flight == "auto" else int(wanted.in_flight)
    threads = _threads(wanted, max(1, devices.cpus // workers))
    return Layout(
        placement="pinned" if pinned else "packed",
        surrogate_workers=workers,
        target_workers=targets,
        threads=threads,
        cpus=min(1.0, int(100 * devices.cpus / processes) / 100),
        surrogate_gpus=surrogate_gpus,
        target_gpus=target_gpus,
        lanes=max(1, lanes),
        calls=_calls(workers, threads, devices.cpus) if pinned and not surrogate_gpus else None,
        reason=reason,
    )


def _threads(wanted: Resources, default: int) -> int:
    return default if wanted.threads == "auto" else int(wanted.threads)


def _calls(workers: int, threads: int, cpus: int) -> int | None:
    """Return how many workers have a core for each of their threads; None when all have."""
    room = max(1, cpus // threads)
    return room if room < workers else None


def _share(wanted: float | Literal["auto"], default: float) -> float:
    share = default if wanted == "auto" else float(wanted)
    # Ray takes whole GPUs above one, and shares of one to 4 digits.
    return float(int(share)) if share >= 1 else int(share * 10_000) / 10_000
