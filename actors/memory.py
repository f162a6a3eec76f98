"""The memory that the models of a run take, process by process, and what does not fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from gauntlet.actors.devices import Devices
from gauntlet.pipeline.run.pass_times import Pass

RUNTIME = 0.8 * 2**30
"""Bytes that a process takes before it has a model: libraries, on a GPU its context.

Libraries took 0.78 GiB (`bench/overheads.py`).
"""


@dataclass(frozen=True)
class Held:
    """What processes of one kind hold.

    Attributes:
        role: what they are.
        count: how many.
        gpus: share of a GPU of each.
        bytes: of one, with `RUNTIME`.
    """

    role: str
    count: int
    gpus: float
    bytes: float


def of_models(models: Sequence[Pass | None], passes: int) -> float | None:
    """Return the bytes of a process; None where nobody has built one of its models.

    Args:
        models: that it holds.
        passes: of the largest of them that it makes at the same time.
    """
    weights, steps = 0, [0]
    for made in models:
        if made is None or made.weights is None or made.step is None:
            return None
        weights += made.weights
        steps.append(made.step)
    return RUNTIME + weights + passes * max(steps)


def on_gpus(held: Sequence[Held]) -> list[list[Held]]:
    """Return the processes that are on a GPU together, GPU by GPU; a whole one is nobody else's.

    The largest shares come first, each on the fullest GPU that has room, as Ray places them.
    """
    single = (replace(one, count=1) for one in held if one.gpus for _ in range(one.count))
    found: list[list[Held]] = []
    for one in sorted(single, key=lambda one: one.gpus, reverse=True):
        taken = [sum(other.gpus for other in gpu) for gpu in found]
        places = [place for place, share in enumerate(taken) if share + one.gpus <= 1 + 1e-6]
        if places:
            found[max(places, key=taken.__getitem__)].append(one)
        else:
            found.append([one])
    return found


def misfits(held: Sequence[Held], devices: Devices) -> Iterator[str]:
    """Yield what does not fit, and what to change.

    A share of a GPU keeps nobody from taking more of its memory: what counts is all that is on it.

    Args:
        held: by the processes of a run, as far as that is known.
        devices: where it runs.
    """
    room, said = devices.gpu_memory, set[str]()
    for gpu in on_gpus(held) if room else ():
        total = sum(one.bytes for one in gpu)
        roles = [f"{n} x {role}" if n > 1 else role
                 for role, n in Counter(one.role for one in gpu).items()]  # fmt: skip
        if total > room and (who := ", ".join(roles)) not in said:
            said.add(who)
            yield (
                f"{who}: {_gib(total)} do not fit into a GPU, {_gib(room)}: smaller "
                f"resources.batch or resources.rows_per_pass"
                + (", or a larger share of a GPU for each" if len(gpu) > 1 else "")
            )
    in_memory = sum(one.count * one.bytes for one in held if not one.gpus)
    if not devices.gpus and in_memory > devices.memory:
        yield (
            f"all processes together: {_gib(in_memory)} do not fit into {_gib(devices.memory)}: "
            "fewer workers (resources.workers), or a smaller resources.batch"
        )


def by_name(*groups: Mapping[str, Pass]) -> dict[str, Pass]:
    """Return all passes by the model's name; of one in two roles the larger step."""
    found: dict[str, Pass] = {}
    for group in groups:
        for name, made in group.items():
            if name not in found or (made.step or 0) > (found[name].step or 0):
                found[name] = made
    return found


def _gib(count: float) -> str:
    return f"{count / 2**30:.1f} GiB"
