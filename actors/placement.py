"""Where the models go: a decision from the plan and the devices at hand, with its reason."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gauntlet.actors.devices import Devices, Node
from gauntlet.actors.layout import Layout
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.run.plan import Plan, Resources

UNIT = 10_000
"""Parts of a GPU that Ray tells apart."""
LEAST = 0.01
"""Smallest share by default: what rounding leaves over is none."""
LEAST_MEMORY = 2**28
"""Bytes that any process with torch takes for itself, before it has a model."""


def lay_out(
    plan: Plan, devices: Devices, placement: str, reason: str, units: int | None = None
) -> Layout:
    """Return the layout of a packed or pinned run.

    On CPUs every process gets an equal share of the cores. On GPUs a surrogate process gets a whole
    one by default, or an equal share of one, and the targets share what is left over. Shares that
    the job states are taken off before the others are chosen. No more workers or hubs start than
    there are units of work.

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
    surrogate_gpus, target_gpus = _gpu_shares(wanted, devices, workers, targets)
    hubs = 0
    if pinned:
        hubs = crews if wanted.hubs == "auto" else int(wanted.hubs)
    # A unit waits for targets while others are attacked; surrogates take two calls at a time.
    usual = (3 if pinned else 2) * crews
    lanes = usual if wanted.in_flight == "auto" else int(wanted.in_flight)
    threads = _threads(wanted, max(1, devices.cpus // workers))
    return Layout(
        placement="pinned" if pinned else "packed",
        surrogate_workers=workers,
        target_workers=targets,
        threads=threads,
        cpus=_cpu_share(devices, (surrogate_gpus, workers), (target_gpus, targets), (0.0, hubs)),
        surrogate_gpus=surrogate_gpus,
        target_gpus=target_gpus,
        hubs=hubs,
        lanes=max(1, lanes),
        calls=_calls(workers, threads, devices.cpus) if pinned and not surrogate_gpus else None,
        reason=f"{reason}{_without_work(units, wished - crews)}",
    )


def _without_work(units: int | None, idle: int) -> str:
    if not idle:
        return ""
    what = f"the job has {units} unit{'s' if units != 1 else ''} of work"
    return (
        f"; {what}, so that {idle} more would be idle: a smaller resources.batch makes more units"
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


def _share(wanted: float) -> float:
    # Ray takes whole GPUs above one, and shares of one to 4 digits.
    return float(int(wanted)) if wanted >= 1 else int(wanted * UNIT + 1e-6) / UNIT


def fits(nodes: Sequence[Node], *shares: tuple[float, int]) -> bool:
    """Return whether processes, as (share of a GPU, count), fit on the nodes' GPUs.

    A share of one GPU is never split over two, and several GPUs are on one node. The largest come
    first, each on the fullest GPU that has room, as Ray places them.
    """
    free = [[UNIT] * node.gpus for node in nodes]
    for share, count in sorted(shares, reverse=True):
        units, whole = round(share * UNIT), math.ceil(share)
        for _ in range(count if units else 0):
            part = min(units, UNIT)
            rooms = [gpus for gpus in free if sum(left >= part for left in gpus) >= whole]
            if not rooms:
                return False
            gpus = min(rooms, key=lambda gpus: min(left for left in gpus if left >= part))
            for _ in range(whole):
                gpus[gpus.index(min(left for left in gpus if left >= part))] -= part
    return True


def _most_workers(wanted: Resources, devices: Devices, targets: int) -> int:
    """Return how many packed workers there is room for, one a GPU at most and one at least."""
    stated = 0.0 if wanted.target_gpus == "auto" else _share(wanted.target_gpus)
    if wanted.surrogate_gpus == "auto":
        return devices.gpus
    own = _share(wanted.surrogate_gpus)
    counts = range(devices.gpus, 1, -1)
    fitting = (n for n in counts if fits(devices.machines, (own, n), (stated, targets)))
    return next(fitting, 1)


def _gpu_shares(
    wanted: Resources, devices: Devices, workers: int, targets: int
) -> tuple[float, float]:
    """Return the GPU shares of a surrogate process and of a target process."""
    own = None if wanted.surrogate_gpus == "auto" else _share(wanted.surrogate_gpus)
    other = None if wanted.target_gpus == "auto" else _share(wanted.target_gpus)
    if not devices.grows:
        _refuse(devices, own, workers, other, targets)
    if own is None:
        own = _largest(devices, workers, (other or 0.0, targets))
    if other is None:
        # With no GPU left over, targets run on the CPU unless the job gives them a share.
        other = _largest(devices, targets, (own, workers))
    return own, other


def _largest(devices: Devices, count: int, beside: tuple[float, int]) -> float:
    """Return the largest share for ``count`` processes beside others; 0 when there is no room."""
    share, others = beside
    most = min(others, int(1 / share)) if 0 < share < 1 else 0
    rooms = {1 - taken * share for taken in range(most + 1)}
    shares = {_share(room / parts) for room in rooms for parts in range(1, count + 1)}
    choices = sorted((share for share in shares if share >= LEAST), reverse=True)
    return next((own for own in choices if fits(devices.machines, (own, count), beside)), 0.0)


def _refuse(
    devices: Devices, own: float | None, workers: int, other: float | None, targets: int
) -> None:
    """Raise `BadInput` when the stated shares cannot be placed."""
    given = {"surrogate_gpus": (own, workers), "target_gpus": (other, targets)}
    stated = {name: (share, count) for name, (share, count) in given.items() if share}
    if stated and not devices.gpus:
        raise BadInput(
            Problem(f"resources.{name}", f"no GPU here; leave {name} out to run on the CPU")
            for name in stated
        )
    if fits(devices.machines, *((share or 0.0, count) for share, count in given.values())):
        if own is None and other and not _largest(devices, workers, (other, targets)):
            what = f"{_these(targets, other)} for targets leave no room for surrogates on"
            raise BadInput(
                Problem("resources.target_gpus", f"{what} {_count(devices)}; write less, or 0")
            )
        return
    alone = other and not fits(devices.machines, (other, targets))
    name = "target_gpus" if alone or not own else "surrogate_gpus"
    asked = [
        f"{_these(count, share)} for {role}"
        for role, share, count in (("surrogates", own, workers), ("targets", other, targets))
        if share
    ]
    if name == "surrogate_gpus":
        room = _largest(devices, workers, (other or 0.0, targets))
    else:
        room = _largest(devices, targets, (own or 0.0, workers))
    advice = f"write {name}: {room:g}, or leave it out" if room else f"leave {name} out"
    if own and other and not room:
        advice = "leave surrogate_gpus and target_gpus out"
    what = f"{' and '.join(asked)} do not fit on {_count(devices)}; {advice}"
    raise BadInput(Problem(f"resources.{name}", what))


def _these(count: int, share: float) -> str:
    return f"{count} x {share:g} GPU"


def _count(devices: Devices) -> str:
    return f"{devices.gpus} GPU{'s' if devices.gpus > 1 else ''}"


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
