"""What a run would be, before anything is started: where things go, how long it takes, and why."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from gauntlet.actors.devices import Devices
from gauntlet.actors.layout import Layout
from gauntlet.actors.memory import Held, by_name, misfits, of_models, on_gpus
from gauntlet.actors.overheads import overheads
from gauntlet.actors.placement import lay_out, needs_no_actors, refuse_without_memory
from gauntlet.actors.shares import hub_bytes
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.results.manifest import CostRecord
from gauntlet.pipeline.run.amounts import Amount, amounts, judged
from gauntlet.pipeline.run.costs import PLANNED
from gauntlet.pipeline.run.forecast import Forecast, Stage, forecast
from gauntlet.pipeline.run.pass_times import Pass
from gauntlet.pipeline.run.plan import Plan
from gauntlet.pipeline.run.plan_models import RANDOMISED_REPEATS
from gauntlet.pipeline.run.rehearsal import Rehearsed

WRITTEN = 65e6
"""Bytes a second that one core sorts, encodes and checks of a part with pixels
(`bench/overheads.py`, on a busy machine)."""


@dataclass(frozen=True)
class BatchTimes:
    """What one batch takes, in seconds of whoever does it.

    Attributes:
        surrogates: a forward and backward pass of each, by name.
        targets: a forward pass of each, by name.
        attacks: what each attack asks for, in the order of the plan.
        decoding: reading the examples.
        library: CPU time in which a process loads its libraries.
    """

    surrogates: Mapping[str, Pass]
    targets: Mapping[str, Pass]
    attacks: Sequence[Rehearsed]
    decoding: float
    library: float


@dataclass(frozen=True)
class Process:
    """Processes of one kind that hold the same.

    Attributes:
        role: what they are.
        count: how many.
        gpus: share of a GPU of each.
        threads: CPU threads of each.
        holds: names of models, or what they do.
        bytes: of memory of each, for its models; None where that is not known.
    """

    role: str
    count: int
    gpus: float
    threads: int
    holds: tuple[str, ...]
    bytes: float | None = None


@dataclass(frozen=True)
class Outlook:
    """What a run would be.

    Attributes:
        layout: the placement; None where all is in one process.
        processes: what goes where.
        units: of work.
        amounts: what is written.
        forecast: how long the attacks take, from the first unit to the last.
        beside: seconds of the other stages, by name.
        gpu_bytes: of memory on the GPU that holds most; None where it is not known of all on it.
        misfits: what does not fit into memory, in words.
    """

    layout: Layout | None
    processes: Sequence[Process]
    units: int
    amounts: Sequence[Amount]
    forecast: Forecast
    beside: Mapping[str, float]
    gpu_bytes: float | None
    misfits: Sequence[str]

    @property
    def stages(self) -> dict[str, float]:
        """Seconds of all stages."""
        return {"attacks": self.forecast.seconds, **self.beside}

    @property
    def seconds(self) -> float:
        """From when the models are built until the files are compacted."""
        return sum(self.stages.values())

    @property
    def cost(self) -> CostRecord:
        """What a run that comes after it is compared with."""
        limit = self.forecast.bottleneck
        return CostRecord(
            seconds=round(self.seconds, 3),
            stages={name: round(seconds, 3) for name, seconds in self.stages.items()},
            units=self.units,
            bytes=sum(amount.bytes for amount in self.amounts),
            files=sum(amount.files for amount in self.amounts),
            bottleneck=f"{limit.name}, mostly with {limit.mostly}",
            basis=PLANNED,
        )


def layout_on(plan: Plan, devices: Devices, units: int, imagined: bool) -> Layout | None:
    """Return the layout of a run on some devices; None where all is in one process.

    Where the run would choose by the memory that it measures, packed is taken.

    Args:
        plan: what is run.
        devices: where.
        units: of work.
        imagined: whether the devices are not this machine's.

    Raises:
        BadInput: when the processes do not fit on the devices.
    """
    wanted = plan.resources.placement
    threads = devices.cpus if imagined else torch.get_num_threads()
    if needs_no_actors(wanted, threads, devices.gpus):
        return None
    placement, reason = ("packed", "auto") if wanted == "auto" else (wanted, "asked for")
    layout = lay_out(plan, devices, placement, reason, units)
    if not imagined and wanted != "auto":
        refuse_without_memory(layout, devices.memory)
    return layout


def outlook(
    plan: Plan,
    layout: Layout | None,
    devices: Devices,
    examples: int,
    size: tuple[int, int],
    times: BatchTimes,
    pairs: int = 0,
) -> Outlook:
    """Return what a run would be.

    Args:
        plan: what is run.
        layout: of `layout_on`.
        devices: where.
        examples: that are attacked.
        size: height and width of the images.
        times: of its batches; an attack's loop costs nothing where nobody knows.
        pairs: images that thresholds are found on.
    """
    units = units_of(plan, examples)
    carriers = 1 if layout is None else layout.hubs or layout.surrogate_workers
    amount = amounts(plan, examples, size, carriers)
    work = _Work(plan, examples / plan.resources.batch, times, sum(a.bytes for a in amount))
    made = by_name(times.surrogates, times.targets)
    if layout is None:
        here = {**work.attack, "targets": sum(work.targets.values()), **work.files}
        found = forecast([Stage("this process", here, 1)], units, 1)
        processes = _one_process(plan, devices, made)
    else:
        stages, hardware = work.stages(layout), _hardware(work, layout, devices)
        found = forecast(stages, units, layout.lanes, hardware)
        processes = _processes(plan, layout, made, size)
    beside = overheads(
        plan, layout, devices, examples, pairs, times.surrogates, times.targets, times.decoding,
        times.library, {a.table: a.bytes for a in amount},
    )  # fmt: skip
    held = [Held(p.role, p.count, p.gpus, p.bytes) for p in processes if p.bytes is not None]
    fullest = None
    if all(process.bytes is not None for process in processes if process.gpus):
        fullest = max((sum(one.bytes for one in gpu) for gpu in on_gpus(held)), default=None)
    wrong = [*misfits(held, devices)]
    return Outlook(layout, processes, units, amount, found, beside, fullest, wrong)


def units_of(plan: Plan, examples: int) -> int:
    """Return the units of work of a run that attacks so many examples."""
    return math.ceil(examples / plan.resources.batch) * len(plan.attacks)


def shares_of_targets(plan: Plan, layout: Layout) -> list[tuple[str, ...]]:
    """Return the targets of each target process, which take turns in it."""
    names = [spec.name for spec in plan.targets]
    count = layout.target_workers
    return [tuple(names[index::count]) for index in range(count)]


class _Work:
    """Seconds of the whole run, by who does it."""

    def __init__(self, plan: Plan, batches: float, times: BatchTimes, written: int) -> None:
        self._plan = plan
        self.surrogates = {
            name: batches * a_pass.seconds * sum(a.passes.get(name, 0.0) for a in times.attacks)
            for name, a_pass in times.surrogates.items()
        }
        self.loop = batches * sum(attack.seconds for attack in times.attacks)
        clean = 2 if plan.task.kind.embeds else 1  # the references, too
        shown = batches * (clean + sum(judged(plan)))
        self.targets = {
            spec.name: shown * _repeats(spec) * times.targets[spec.name].seconds
            for spec in plan.targets
        }
        self.files = {"decoding and writing": batches * times.decoding + written / WRITTEN}

    @property
    def attack(self) -> dict[str, float]:
        """Of a process that holds all surrogates."""
        return {"surrogates": sum(self.surrogates.values()), "loop": self.loop}

    def of_targets(self, layout: Layout) -> float:
        """Of the target process that has most to do."""
        shares = shares_of_targets(self._plan, layout)
        return max(sum(self.targets[name] for name in share) for share in shares)

    def stages(self, layout: Layout) -> list[Stage]:
        """Return what a unit passes."""
        judges = Stage("a target process", {"targets": self.of_targets(layout)}, 1)
        if layout.placement == "packed":
            work = {**self.attack, **self.files}
            return [Stage("packed workers", work, layout.surrogate_workers), judges]
        slowest = max(self.surrogates, key=self.surrogates.__getitem__)
        crews = layout.surrogate_workers // len(self.surrogates)
        asked = {"surrogates": self.surrogates[slowest]}
        return [
            Stage(f"surrogate {slowest}", asked, crews),
            Stage("hubs", {"loop": self.loop, **self.files}, layout.most_hubs),
            judges,
        ]


def _hardware(work: _Work, layout: Layout, devices: Devices) -> list[Stage]:
    """Return the cores and the GPUs, each with all that is done there."""
    on_gpu: dict[str, float] = {}
    on_cpu: dict[str, float] = {}
    packed = layout.placement == "packed"
    for kind, seconds, gpus in (
        ("surrogates", work.attack["surrogates"], layout.surrogate_gpus),
        ("loop", work.loop, layout.surrogate_gpus if packed else layout.hub_gpus),
        ("targets", sum(work.targets.values()), layout.target_gpus),
    ):
        (on_gpu if gpus else on_cpu)[kind] = seconds
    threads = min(layout.threads, devices.cpus)
    on_cores = {**work.files, **{kind: threads * seconds for kind, seconds in on_cpu.items()}}
    found = [Stage("cores", on_cores, devices.cpus)]
    if on_gpu:
        found.append(Stage("GPUs", on_gpu, devices.gpus))
    return found


def _repeats(spec: ModelSpec) -> int:
    randomised = spec.defence is not None and spec.defence.randomised
    return spec.repeats or (RANDOMISED_REPEATS if randomised else 1)


def _one_process(plan: Plan, devices: Devices, made: Mapping[str, Pass]) -> list[Process]:
    models = tuple(spec.name for spec in (*plan.surrogates, *plan.targets))
    gpus = min(1, devices.gpus)
    threads = plan.resources.threads
    own = devices.cpus if threads == "auto" else int(threads)
    size = of_models([made.get(name) for name in dict.fromkeys(models)], 1)
    return [Process("this process", 1, gpus, own, models, size)]


def _processes(
    plan: Plan, layout: Layout, made: Mapping[str, Pass], pixels: tuple[int, int]
) -> list[Process]:
    names, threads = tuple(spec.name for spec in plan.surrogates), layout.threads
    own, workers = layout.surrogate_gpus, layout.surrogate_workers

    def size(models: Sequence[str], passes: int = 1) -> float | None:
        return of_models([made.get(name) for name in models], passes)

    if layout.placement == "packed":
        whole = size(names, layout.lanes_of_carrier)
        found = [Process("packed worker", workers, own, threads, names, whole)]
    else:
        crews = workers // len(names)
        found = [Process("surrogate", crews, own, threads, (n,), size([n])) for n in names]
        loops = hub_bytes(plan, pixels, layout.lanes_of_carrier)
        found.append(
            Process("hub", layout.hubs, layout.hub_gpus, threads, ("attacks' loops",), loops)
        )
    for share in shares_of_targets(plan, layout):
        found.append(Process("targets", 1, layout.target_gpus, threads, share, size(share)))
    return found
