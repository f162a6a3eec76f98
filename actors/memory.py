"""The memory that the models of a run take, process by process, and what does not fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gauntlet.actors.devices import Devices
from gauntlet.pipeline.run.pass_times import Pass

RUNTIME = 0.5 * 2**30
"""Bytes that a process takes before it has a model: libraries, on a GPU its context."""


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


def misfits(held: Sequence[Held], devices: Devices) -> Iterator[str]:
    """Yield what does not fit, and what to change.

    Args:
        held: by the processes of a run, as far as that is known.
        devices: where it runs.
    """
    for one in held:
        room = min(1.0, one.gpus) * devices.gpu_memory
        if one.gpus and devices.gpu_memory and one.bytes > room:
            share = "a GPU" if one.gpus >= 1 else f"its share ({one.gpus:g}) of a GPU"
            yield (
                f"{one.role}: {_gib(one.bytes)} do not fit into {share}, {_gib(room)}: smaller "
                f"resources.batch or resources.rows_per_pass"
                + ("" if one.gpus >= 1 else ", or a larger share of a GPU for each")
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
