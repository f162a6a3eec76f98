"""Which share of a GPU each process gets: what the job states, and what is left for the others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gauntlet.actors.devices import Devices, Node
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.run.plan import Plan
from gauntlet.pipeline.run.plan_models import image_dtype

UNIT = 10_000
"""Parts of a GPU that Ray tells apart."""
LEAST = 0.01
"""Smallest share by default: what rounding leaves over is none."""
HUB = 0.1
"""Share of a hub by default, where nobody knows the GPU's memory."""
MOST_OF_HUB = 0.5
"""A hub that needs more than this is better off on its cores: surrogates need the GPU."""
UNKNOWN_SIZE = (224, 224)
"""Height and width of images of which that shows only when they are decoded."""
CONTEXT = 2**29
"""Bytes of a GPU that a process takes before it has a tensor."""
WIDE = 2**28
"""Bytes that a combination rule turns to float64 at a time."""


@dataclass(frozen=True)
class Group:
    """Processes of one kind.

    Attributes:
        role: what they are for.
        field: of `resources`, that states their share.
        count: how many.
        stated: the share that the job states, None where it leaves that open.
    """

    role: str
    field: str
    count: int
    stated: float | None

    @classmethod
    def of(cls, plan: Plan, role: str, count: int) -> Group:
        """Return the processes with the share that a plan states."""
        field = f"{role.removesuffix('s')}_gpus"
        given = getattr(plan.resources, field)
        return cls(role, field, count, None if given == "auto" else rounded(given))

    @property
    def taken(self) -> tuple[float, int]:
        """What they take off before the others get theirs."""
        return self.stated or 0.0, self.count


@dataclass(frozen=True)
class Shares:
    """Shares of a GPU.

    Attributes:
        surrogate: of each surrogate process.
        target: of each target process.
        hub: of each hub.
    """

    surrogate: float
    target: float
    hub: float


def gpu_shares(
    plan: Plan, devices: Devices, workers: int, targets: int, hubs: int, lanes: int
) -> Shares:
    """Return the shares of a run's processes.

    Surrogates get the largest equal share beside what the job states for the others, targets an
    equal share of what is left over, if anything is. Hubs come last: where the surrogates are on
    GPUs, each gets the small share that its tensors need, for which surrogates make room if they
    may, and none where that would be much of a GPU.

    Args:
        plan: what to do.
        devices: what is there.
        workers: surrogate processes.
        targets: target processes.
        hubs: processes that run the loops.
        lanes: units in flight at each of them.

    Raises:
        BadInput: when the stated shares do not fit on the GPUs that are there.
    """
    own, other, hub = groups = [
        Group.of(plan, role, count)
        for role, count in (("surrogates", workers), ("targets", targets), ("hubs", hubs))
    ]
    if not devices.grows:
        _refuse(devices, groups)
    surrogate, target = own.stated, other.stated
    if surrogate is None:
        surrogate = _largest(devices, workers, other.taken, hub.taken)
    if target is None:
        # With no GPU left over, targets run on the CPU unless the job gives them a share.
        target = _largest(devices, targets, (surrogate, workers), hub.taken)
    if hub.stated is not None or not hubs or not surrogate:
        return Shares(surrogate, target, hub.stated or 0.0 if hubs else 0.0)
    small = hub_share(plan, devices, lanes)
    beside = (target, targets), (small, hubs)
    if own.stated is None:
        surrogate = (_largest(devices, workers, *beside) if small else 0.0) or surrogate
    if not fits(devices.machines, (surrogate, workers), *beside):
        small = 0.0
    return Shares(surrogate, target, small)


def hub_share(plan: Plan, devices: Devices, lanes: int) -> float:
    """Return the share of a GPU whose memory a hub needs; 0 when that is much of it."""
    if not devices.gpu_memory:
        return HUB
    size = plan.data.image_size(plan.root) or UNKNOWN_SIZE
    share = math.ceil(100 * hub_bytes(plan, size, lanes) / devices.gpu_memory) / 100
    return share if share <= MOST_OF_HUB else 0.0


def hub_bytes(plan: Plan, size: tuple[int, int], lanes: int) -> float:
    """Return the memory that a hub needs on the device where its loops run.

    A lane holds the gradients of two steps, the one that is read and the one that comes, and a few
    tensors of the loop.

    Args:
        plan: what it does.
        size: height and width of the images.
        lanes: units in flight at it.
    """
    batch = plan.resources.batch * 3 * math.prod(size) * image_dtype(plan.resources).itemsize
    return CONTEXT + lanes * (WIDE + (2 * len(plan.surrogates) + 8) * batch)


def rounded(wanted: float) -> float:
    """Return a share as Ray takes it: whole GPUs above one, and shares of one to 4 digits."""
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


def _largest(devices: Devices, count: int, *beside: tuple[float, int]) -> float:
    """Return the largest share for ``count`` processes beside others; 0 when there is no room."""
    rooms = {1.0}
    for share, others in beside:
        most = min(others, int(1 / share)) if 0 < share < 1 else 0
        rooms = {room - taken * share for room in rooms for taken in range(most + 1)}
    shares = {rounded(room / parts) for room in rooms for parts in range(1, count + 1)}
    choices = sorted((share for share in shares if share >= LEAST), reverse=True)
    return next((own for own in choices if fits(devices.machines, (own, count), *beside)), 0.0)


def _refuse(devices: Devices, groups: Sequence[Group]) -> None:
    """Raise `BadInput` when the stated shares cannot be placed."""
    stated = [group for group in groups if group.stated]
    if stated and not devices.gpus:
        raise BadInput(
            Problem(
                f"resources.{group.field}",
                f"no GPU here; leave {group.field} out to run on the CPU",
            )
            for group in stated
        )
    own, other, hub = groups
    if not fits(devices.machines, *(group.taken for group in groups)):
        raise BadInput(_too_much(devices, own, other, hub))
    if own.stated is not None:
        return
    for group in (other, hub):
        if group.stated and not _largest(
            devices, own.count, *(g.taken for g in groups if g.stated)
        ):
            leave = f"{_these(group)} for {group.role} leave no room for surrogates on"
            what = f"{leave} {_count(devices)}; write less, or 0"
            raise BadInput(Problem(f"resources.{group.field}", what))


def _too_much(devices: Devices, own: Group, other: Group, hub: Group) -> Problem:
    """Return which of the stated shares is too much, and what there would be room for."""
    groups = (own, other, hub)
    if hub.stated and fits(devices.machines, own.taken, other.taken):
        blamed = hub
    elif other.stated and (not own.stated or not fits(devices.machines, other.taken)):
        blamed = other
    else:
        blamed = own
    rest = [group for group in groups if group is not blamed]
    room = _largest(devices, blamed.count, *(group.taken for group in rest))
    advice = f"write {blamed.field}: {room:g}, or leave it out" if room else ""
    if not room:
        several = blamed is not hub and own.stated and other.stated
        leave = "surrogate_gpus and target_gpus" if several else blamed.field
        advice = f"leave {leave} out"
    asked = [
        f"{_these(group)} for {group.role}" for group in groups if group.stated and group.count
    ]
    named = f"{', '.join(asked[:-1])} and {asked[-1]}" if len(asked) > 1 else asked[0]
    return Problem(
        f"resources.{blamed.field}", f"{named} do not fit on {_count(devices)}; {advice}"
    )


def _these(group: Group) -> str:
    return f"{group.count} x {group.stated or 0.0:g} GPU"


def _count(devices: Devices) -> str:
    return f"{devices.gpus} GPU{'s' if devices.gpus > 1 else ''}"
