"""Running a plan: choosing a placement, starting what it needs, carrying it out, resuming it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ray
import torch

from gauntlet.actors.devices import Devices, this_machine
from gauntlet.actors.layout import Layout
from gauntlet.actors.nodes import needed_paths, refuse_unfit
from gauntlet.actors.own_modules import OwnModules, of_this_process, packed
from gauntlet.actors.placement import lay_out, needs_no_actors, refuse_without_memory
from gauntlet.actors.ray_engine import RayEngine
from gauntlet.actors.session import connect, disconnect
from gauntlet.actors.spawn import spawn_packed
from gauntlet.actors.waiting import answers
from gauntlet.actors.wire import Packed
from gauntlet.pipeline.attacks.own_parts import from_cells
from gauntlet.pipeline.data.examples import Examples, open_examples
from gauntlet.pipeline.foreign.libraries import own_files
from gauntlet.pipeline.models.build import own_code
from gauntlet.pipeline.models.sources.own_modules import modules_to_carry
from gauntlet.pipeline.models.sources.permission import Permission, granted, permit
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.progress import Progress, Silent
from gauntlet.pipeline.run.attempt import attempt
from gauntlet.pipeline.run.costs import kept
from gauntlet.pipeline.run.engine import Engine
from gauntlet.pipeline.run.local import LocalEngine
from gauntlet.pipeline.run.plan import Plan
from gauntlet.pipeline.run.probe.findings import Decide, Probe
from gauntlet.pipeline.run.probe.probe import probe
from gauntlet.pipeline.run.stream import Outcome

MEMORY_SHARE = 0.8
"""Packed is chosen when its workers' measured peak stays below this share of the memory."""


def launch(
    plan: Plan,
    folder: str,
    *,
    progress: Progress | None = None,
    address: str | None = None,
    resume: bool = False,
    decide: Decide | None = None,
    permission: Permission | None = None,
    checked: bool = False,
) -> Outcome:
    """Carry a plan out in a run folder.

    Args:
        plan: what to do; with ``resume`` the folder's own (`plan_of`), which may differ in where
            and how the rest is done.
        folder: local path, or ``s3://bucket/prefix``, ``gs://...``, ``az://...``.
        progress: who listens.
        address: of a Ray cluster; a local one is started when it is None and one is needed.
        resume: go on with the run in the folder instead of starting one.
        decide: hears what the models say of clean examples, before the first attack.
        permission: the code that `import:` sources may run, which no plan says; by default modules
            of the working directory, and what ``GAUNTLET_ALLOW_IMPORTS`` names.
        checked: whether the models' specs were found sound when the job was read.

    Raises:
        BadInput: when the folder holds a run already, holds none to resume, or cannot be written;
            when another driver is at work on it, or its plan was edited; when a model's code may
            not be run, or fails.
        Refused: when the models lack classes of the examples, or when ``decide`` says so; a run
            that had just begun leaves no folder behind.
    """
    try:
        return attempt(
            plan,
            folder,
            lambda progress: _engine(plan, address, progress, permission, checked),
            progress=progress,
            resume=resume,
            decide=decide,
            foretell=kept if address is None else None,
        )
    finally:
        disconnect()


def look(
    plan: Plan,
    *,
    progress: Progress | None = None,
    address: str | None = None,
    permission: Permission | None = None,
    checked: bool = False,
) -> Probe:
    """Return what a plan's models say of clean examples, where a run would ask them.

    Args:
        plan: what would be run.
        progress: who listens.
        address: of a Ray cluster, as in `launch`.
        permission: as in `launch`.
        checked: as in `launch`.

    Raises:
        BadInput: when a model cannot be built.
        Refused: when the models lack classes of the examples.
    """
    with ready(plan, progress or Silent(), address, permission, checked) as engine:
        examples = open_examples(plan.data, plan.task.goal, root=plan.root, seed=plan.seed)
        return probe(plan, examples, engine, {})


@contextmanager
def ready(
    plan: Plan,
    progress: Progress,
    address: str | None = None,
    permission: Permission | None = None,
    checked: bool = False,
) -> Iterator[Engine]:
    """Hold a plan's models where a run would have them, to be asked.

    Args:
        plan: what would be run.
        progress: who listens.
        address: of a Ray cluster, as in `launch`.
        permission: as in `launch`.
        checked: as in `launch`.

    Raises:
        BadInput: when a model cannot be built.
    """
    try:
        engine = _engine(plan, address, progress, permission, checked)
        try:
            yield engine
        finally:
            engine.close()
    finally:
        disconnect()


def foresee(plan: Plan, address: str | None) -> str:
    """Return where a run would work, as far as that is known before a model has run.

    Args:
        plan: what to do.
        address: of the Ray cluster that the run would join, if any.

    Raises:
        BadInput: when the run would be refused: nothing answers at the address, or processes do
            not fit on the devices.
    """
    if (reason := _needs_no_ray(plan, address)) is not None:
        return f"placement: in-process ({reason})"
    wanted = plan.resources.placement
    if address in (None, "local"):
        devices, where = this_machine(), "this machine"
        layout = _alone(plan, devices)
    else:
        try:
            devices, where = connect(address), f"the cluster at {address}"
        finally:
            disconnect()
        layout = lay_out(plan, devices, "packed" if wanted == "auto" else wanted, "")
    has = f"{where}, {_counted(devices.cpus, 'CPU')} and {_counted(devices.gpus, 'GPU')}"
    if wanted == "auto":
        return f"placement: on {has}; {_left_to_measure(plan, devices, layout)}"
    text = f"placement: {layout.summary}, on {has}"
    if wanted == "packed" and layout.surrogate_workers > 1:
        text += "; the memory that a worker takes shows only when the first has attacked a batch"
    return text


def _left_to_measure(plan: Plan, devices: Devices, layout: Layout) -> str:
    if layout.surrogate_gpus < 1 and devices.gpus:
        return layout.summary
    if whole := _only_packed(plan):
        return f"packed: {whole}"
    text = "the run measures one worker with all surrogates, and chooses packed or pinned by that"
    try:
        lay_out(plan, devices, "pinned", "")
    except BadInput as error:
        return f"{text}; it would refuse pinned: {error}"
    return text


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}" if count else f"no {noun}"


def _engine(
    plan: Plan,
    address: str | None,
    progress: Progress,
    permission: Permission | None,
    checked: bool,
) -> Engine:
    permission = granted() if permission is None else permission
    permit(permission)
    models = (*plan.surrogates, *plan.targets)
    ran = own_code(models, plan.root, plan.task.kind, permission, checked)
    if (reason := _needs_no_ray(plan, address)) is not None:
        return LocalEngine(plan, reason, permission, checked=True)
    if cells := from_cells(plan.parts):
        what = (
            f"{', '.join(cells)} is defined in a notebook or script, which other processes lack: "
        )
        raise BadInput(
            Problem("parts", f"{what}write it to a file, or choose placement in-process")
        )
    # A session that this process has already took its environment when it began.
    elsewhere = address not in (None, "local") and not ray.is_initialized()
    if not elsewhere and not ray.is_initialized():
        # What does not fit on this machine is refused before anything has been started on it.
        _alone(plan, this_machine())
        progress.note("starting a Ray session on this machine")
    if elsewhere:
        ran = (*ran, *plan.data.own_code(), *own_files(plan.attacks, plan.root, permission))
    with packed(modules_to_carry(ran, permission) if elsewhere else ()) as parcel:
        devices = connect(address, progress.note, parcel)
        if elsewhere:
            refuse_unfit(needed_paths(plan))
    modules = OwnModules(permission, carried=True) if parcel else of_this_process(permission)
    wanted = plan.resources.placement
    examples = open_examples(plan.data, plan.task.goal, root=plan.root, seed=plan.seed)
    units = _units(plan, len(examples))
    if wanted == "auto":
        return _measured(plan, devices, examples, units, modules, progress.note)
    layout = lay_out(plan, devices, wanted, "asked for", units)
    return RayEngine(plan, layout, modules=modules, note=progress.note)


def _units(plan: Plan, examples: int) -> int:
    """Return the most units of work that a run has, before examples are selected."""
    chosen = min(examples, plan.select.limit or examples)
    return math.ceil(chosen / plan.resources.batch) * len(plan.attacks)


def _alone(plan: Plan, machine: Devices) -> Layout:
    """Return the layout on one machine, or refuse what cannot be there whatever the models are."""
    wanted = plan.resources.placement
    layout = lay_out(plan, machine, "packed" if wanted == "auto" else wanted, "")
    if wanted != "auto":  # which measures, and takes fewer processes where packed is too much
        refuse_without_memory(layout, machine.memory)
    return layout


def _needs_no_ray(plan: Plan, address: str | None) -> str | None:
    """Return why a run takes place in this process, None if it takes Ray."""
    wanted = plan.resources.placement
    if wanted == "auto" and address is not None:
        return None
    return needs_no_actors(wanted, torch.get_num_threads(), torch.cuda.device_count())


def _measured(
    plan: Plan,
    devices: Devices,
    examples: Examples,
    units: int,
    modules: OwnModules,
    note: Callable[[str], None],
) -> Engine:
    """Start one packed worker, measure it on a real batch, and decide."""
    if whole := _only_packed(plan):
        only = lay_out(plan, devices, "packed", f"auto: {whole}", units)
        return RayEngine(plan, only, modules=modules, note=note)
    layout = lay_out(plan, devices, "packed", "auto", units)
    if layout.surrogate_gpus < 1 and devices.gpus:
        shared = lay_out(plan, devices, "packed", "auto: several share a GPU", units)
        return RayEngine(plan, shared, modules=modules, note=note)
    worker = spawn_packed(plan, layout, modules)
    peak, memory, why = _peak(plan, devices, examples, worker, note)
    copies = 1 if devices.gpus else layout.surrogate_workers
    if peak is not None and copies * peak <= MEMORY_SHARE * memory:
        reason = (
            f"auto: all {len(plan.surrogates)} surrogates take {peak / 2**30:.1f} GiB in one "
            f"process at batch {plan.resources.batch}, {memory / 2**30:.1f} GiB are there"
        )
        chosen = lay_out(plan, devices, "packed", reason, units)
        return RayEngine(plan, chosen, worker, modules, note)
    ray.kill(worker)
    pinned = lay_out(plan, devices, "pinned", f"auto: {why}", units)
    return RayEngine(plan, pinned, modules=modules, note=note)


def _only_packed(plan: Plan) -> str | None:
    """Return why surrogates cannot be pinned, each to a process of its own; None if they can."""
    calling = any(attack.source is not None for attack in plan.attacks)
    return "a foreign attack needs its surrogates in one process" if calling else None


def _peak(
    plan: Plan, devices: Devices, examples: Examples, worker: Any, note: Callable[[str], None]
) -> tuple[int | None, int, str]:
    loaded = examples.load(range(min(plan.resources.batch, len(examples))))
    memory = devices.gpu_memory or devices.memory
    made = [attack for attack in plan.attacks if attack.images is None]
    if loaded.batch is None or not made:
        return 0, memory, ""
    try:
        batch = Packed.of(loaded.batch)
        peak: int
        (peak,) = answers([worker.measure.remote(made[0], batch)], [worker], note)
    except (ray.exceptions.RayError, torch.OutOfMemoryError) as error:
        return None, memory, f"the surrogates do not fit together ({type(error).__name__})"
    return peak, memory, f"together the surrogates take {peak / 2**30:.1f} GiB a worker"
