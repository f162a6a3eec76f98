"""Running a plan: choosing a placement, starting what it needs, carrying it out, resuming it."""

from __future__ import annotations

from typing import Any

import ray
import torch

from actors.engine import RayEngine, spawn_packed
from actors.placement import Devices, Layout, lay_out
from actors.session import connect, disconnect
from actors.wire import WireBatch
from pipeline.data.examples import open_examples
from pipeline.problems import BadInput, Problem
from pipeline.results import records
from pipeline.results.folder import RunFolder
from pipeline.run.engine import Engine
from pipeline.run.local import LocalEngine
from pipeline.run.plan import Plan
from pipeline.run.progress import Progress, Silent
from pipeline.run.runner import Outcome, Runner

MEMORY_SHARE = 0.8
"""Packed is chosen when its workers' measured peak stays below this share of the memory."""


def read_plan(folder: str) -> Plan:
    """Return the plan that a run was started with.

    Raises:
        BadInput: when there is no run in the folder, or its plan is damaged.
    """
    store = RunFolder(folder)
    if not store.exists():
        raise BadInput(Problem(folder, "no run here: plan.json is missing"))
    remedy = "without it {} cannot go on: put it back from a copy, or run the job anew elsewhere"
    return records.record(store, "plan.json", Plan.model_validate_json, remedy)


def units_of_complete(folder: str) -> int | None:
    """Return how many units a run has if they are all finished, None if some work is left."""
    store = RunFolder(folder)
    if not store.exists("manifest.json"):
        return None
    record = records.manifest(store)
    units = record.get("units", {"done": 0, "failed": 0})
    if "finished" not in record or units["failed"] or len(store.finished()) < units["done"]:
        return None
    return int(units["done"])


def launch(
    plan: Plan,
    folder: str,
    *,
    progress: Progress | None = None,
    address: str | None = None,
    resume: bool = False,
) -> Outcome:
    """Carry a plan out in a run folder.

    Args:
        plan: what to do; with ``resume`` it must be the folder's own (`read_plan`).
        folder: local path, or ``s3://bucket/prefix``, ``gs://...``.
        progress: who listens.
        address: of a Ray cluster; a local one is started when it is None and one is needed.
        resume: go on with the run in the folder instead of starting one.

    Raises:
        BadInput: when the folder holds a run already, holds none to resume, or cannot be written.
    """
    progress = progress or Silent()
    store = RunFolder(folder)
    if resume and not store.exists():
        raise BadInput(Problem(folder, "nothing to resume: plan.json is missing"))
    if not resume and store.exists():
        raise BadInput(
            Problem(folder, f"holds a run already; go on with `gauntlet resume {folder}`")
        )
    if obstacle := store.obstacle():
        raise BadInput(Problem(folder, obstacle))
    engine = _engine(plan, address, progress)
    try:
        if not resume:
            # Not before the models are built: a run that could not begin leaves no folder behind.
            store.write("plan.json", plan.model_dump_json(indent=2).encode())
        return Runner(plan, store, engine, progress).run()
    finally:
        engine.close()
        if ray.is_initialized():
            disconnect()


def _engine(plan: Plan, address: str | None, progress: Progress) -> Engine:
    wanted = plan.resources.placement
    if wanted == "in-process":
        return LocalEngine(plan)
    if wanted == "auto" and address is None and not _worth_a_cluster(plan):
        return LocalEngine(plan, "auto: one core and at most one GPU gain nothing from actors")
    progress.stage("start actors", 1, "clusters")
    devices = connect(address)
    progress.advance("start actors", 1)
    if wanted == "auto":
        return _measured(plan, devices, progress)
    return RayEngine(plan, lay_out(plan, devices, wanted, "asked for"))


def _worth_a_cluster(plan: Plan) -> bool:
    return torch.get_num_threads() > 1 or torch.cuda.device_count() > 1


def _measured(plan: Plan, devices: Devices, progress: Progress) -> Engine:
    """Start one packed worker, measure it on a real batch, and decide."""
    layout = lay_out(plan, devices, "packed", "auto")
    if layout.surrogate_gpus < 1 and devices.gpus:
        return RayEngine(plan, lay_out(plan, devices, "packed", "auto: several share a GPU"))
    worker = spawn_packed(plan, layout)
    peak, memory, why = _peak(plan, devices, worker)
    copies = 1 if devices.gpus else layout.surrogate_workers
    if peak is not None and copies * peak <= MEMORY_SHARE * memory:
        reason = (
            f"auto: all {len(plan.surrogates)} surrogates take {peak / 2**30:.1f} GiB in one "
            f"process at batch {plan.resources.batch}, {memory / 2**30:.1f} GiB are there"
        )
        return RayEngine(plan, _because(plan, devices, "packed", reason), first=worker)
    ray.kill(worker)
    return RayEngine(plan, _because(plan, devices, "pinned", f"auto: {why}"))


def _because(plan: Plan, devices: Devices, placement: str, reason: str) -> Layout:
    return lay_out(plan, devices, placement, reason)


def _peak(plan: Plan, devices: Devices, worker: Any) -> tuple[int | None, int, str]:
    examples = open_examples(plan.data, plan.task.goal, root=plan.root, seed=plan.seed)
    loaded = examples.load(range(min(plan.resources.batch, len(examples))))
    memory = devices.memory
    if devices.gpus and torch.cuda.is_available():
        memory = torch.cuda.get_device_properties(0).total_memory
    if loaded.batch is None:
        return 0, memory, ""
    try:
        batch = WireBatch.pack(loaded.batch)
        peak: int = ray.get(worker.measure.remote(plan.attacks[0], batch))
    except (ray.exceptions.RayError, torch.OutOfMemoryError) as error:
        return None, memory, f"the surrogates do not fit together ({type(error).__name__})"
    return peak, memory, f"together the surrogates take {peak / 2**30:.1f} GiB a worker"
