"""Where the models go: a decision from the plan and the devices at hand, with its reason."""

from __future__ import annotations

import math

from gauntlet.actors.devices import Devices, Node
from gauntlet.actors.layout import Layout
from gauntlet.actors.shares import fits, gpu_shares, rounded
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.run.plan import Plan, Resources

LEAST_MEMORY = 2**28
"""Bytes that any process with torch takes for itself, before it has a model."""


def needs_no_actors(wanted: str, threads: int, gpus: int) -> str | None:
    """Return why a run on one machine takes place in one process; None if it takes actors.

    Args:
        wanted: the placement that the job asks for.
        threads: that this process, or one on a machine that is not here, would work with.
        gpus: of the machine.
    """
    if wanted == "in-process":
        return "asked for"
    if wanted == "auto" and threads == 1 and gpus <= 1:
        return "auto: one core and at most one GPU gain nothing from actors"
    return None


def lay_out(
    plan: Plan, devices: Devices, placement: str, reason: str, units: int | None = None
) -> Layout:
    """Return the layout of a packed or pinned run.

    On CPUs every process gets an equal share of the cores. On GPUs a surrogate process gets a whole
    one by default, or an equal share of one, the targets share what is left over, and hubs get a
    small share beside surrogates. Shares that the job states are taken off before the others are
    chosen. No more workers or hubs start than there are units of work.

    Args:
        plan: what to do.
        devices: what is there.
        placement: ``packed`` or ``pinned``.
        reason: why it is that.
        units: of work; None where nobody has counted.

    Raises:
        BadInput: when the stated shares of GPUs do not fit on the GPUs that are there.
    """
    wanted = plan.resources
    gpus = devices.gpus
    pinned = placement == "pinned"
    asked = wanted.target_workers
    targets = min(len(plan.targets), max(1, gpus) if asked == "auto" else int(asked))
    if pinned:
        wished = wanted.replicas
    elif wanted.workers != "auto":
        wished = int(wanted.workers)
    elif gpus:
        wished = _most_workers(wanted, devices, targets)
    else:
        wished = max(1, devices.cpus // _threads(wanted, 1))
    crews = wished if units is None else min(wished, max(1, units))
    workers = len(plan.surrogates) * crews if pinned else crews
    hubs = 0
    if pinned:
        hubs = crews if wanted.hubs == "auto" else int(wanted.hubs)
    # A unit waits for targets while others are attacked; surrogates take two calls at a time.
    usual = (3 if pinned else 2) * crews
    lanes = usual if wanted.in_flight == "auto" else int(wanted.in_flight)
    shares = gpu_shares(plan, devices, workers, targets, hubs, math.ceil(lanes / max(1, hubs)))
    threads = _threads(wanted, max(1, devices.cpus // workers))
    calls = _calls(workers, threads, devices.cpus) if pinned and not shares.surrogate else None
    most_hubs = hubs
    models = (shares.surrogate, workers), (shares.target, targets)
    if pinned and wanted.hubs == wanted.in_flight == "auto" and calls is None:
        # A model on a GPU takes a core to drive it, and a loop as many as anybody has.
        cores = (devices.cpus - workers * (1 if shares.surrogate else threads)) // threads
        room = range(min(cores, units or 0), hubs, -1)
        fitting = (n for n in room if fits(devices.machines, *models, (shares.hub, n)))
        most_hubs = next(fitting, hubs)
    return Layout(
        placement="pinned" if pinned else "packed",
        surrogate_workers=workers,
        target_workers=targets,
        threads=threads,
        cpus=_cpu_share(devices, *models, (shares.hub, most_hubs)),
        surrogate_gpus=shares.surrogate,
        target_gpus=shares.target,
        hub_gpus=shares.hub,
        hubs=hubs,
        most_hubs=most_hubs,
        lanes=max(1, lanes),
        calls=calls,
        reason=f"{reason}{_without_work(units, wished - crews)}{_uneven(hubs, crews)}",
    )


def _without_work(units: int | None, idle: int) -> str:
    if not idle:
        return ""
    what = f"the job has {units} unit{'s' if units != 1 else ''} of work"
    return (
        f"; {what}, so that {idle} more would be idle: a smaller resources.batch makes more units"
    )


def _uneven(hubs: int, crews: int) -> str:
    if not hubs or hubs % crews == 0:
        return ""
    few, more = divmod(hubs, crews)
    return (
        f"; {hubs} hubs for {crews} replicas: {more} of them {'has' if more == 1 else 'have'} "
        f"{few + 1}, the others {few}: a multiple of {crews} loads all alike"
    )


def refuse_without_memory(layout: Layout, memory: int) -> None:
    """Refuse more processes than a machine has memory for, whatever their models take.

    Args:
        layout: the processes, all on this machine.
        memory: bytes that are free.

    Raises:
        BadInput: when not even Python and torch fit into the memory so many times.
    """
    count = layout.surrogate_workers + layout.target_workers
    if count * LEAST_MEMORY <= memory:
        return
    few = layout.target_workers >= layout.surrogate_workers
    field = "workers" if layout.placement == "packed" else "replicas"
    what = (
        f"{layout.surrogate_workers} processes for surrogates and {layout.target_workers} for "
        f"targets take {count * LEAST_MEMORY / 2**30:.1f} GiB without any model, "
        f"{memory / 2**30:.1f} GiB are there; write fewer, or placement: auto"
    )
    raise BadInput(Problem(f"resources.{'target_workers' if few else field}", what))


def _threads(wanted: Resources, default: int) -> int:
    return default if wanted.threads == "auto" else int(wanted.threads)


def _calls(workers: int, threads: int, cpus: int) -> int | None:
    """Return how many workers have a core for each of their threads; None when all have."""
    room = max(1, cpus // threads)
    return room if room < workers else None


def _most_workers(wanted: Resources, devices: Devices, targets: int) -> int:
    """Return how many packed workers there is room for, one a GPU at most and one at least."""
    stated = 0.0 if wanted.target_gpus == "auto" else rounded(wanted.target_gpus)
    if wanted.surrogate_gpus == "auto":
        return devices.gpus
    own = rounded(wanted.surrogate_gpus)
    counts = range(devices.gpus, 1, -1)
    fitting = (n for n in counts if fits(devices.machines, (own, n), (stated, targets)))
    return next(fitting, 1)


def _cpu_share(devices: Devices, *groups: tuple[float, int]) -> float:
    """Return the CPUs that each process reserves, so that all fit however Ray spreads them.

    GPUs decide which node a process goes to: a node needs CPUs for as many as its GPUs can hold.
    """
    if devices.grows:
        return min(1.0, int(100 * devices.cpus / sum(count for _, count in groups)) / 100)
    anywhere = sum(count for share, count in groups if not share)
    nodes = [
        (100 * node.cpus, sum(min(n, _held(node, share)) for share, n in groups if share))
        for node in devices.machines
    ]
    for part in range(100, 0, -1):
        left = [cpus // part - held for cpus, held in nodes]
        if all(
            room >= 0 or not held for room, (_, held) in zip(left, nodes, strict=True)
        ) and anywhere <= sum(left):
            return part / 100
    # Ray places what reserves no CPU anywhere.
    return 0.0


def _held(node: Node, share: float) -> int:
    return node.gpus // math.ceil(share) if share >= 1 else node.gpus * int(1 / share + 1e-9)
