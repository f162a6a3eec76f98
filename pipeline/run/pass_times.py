"""What a model takes for a batch, time and memory: measured once, kept in the user's cache."""

from __future__ import annotations

import hashlib
import json
import math
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from gauntlet.pipeline import user_cache
from gauntlet.pipeline.attacks.messages import Setting
from gauntlet.pipeline.attacks.method import default_objective
from gauntlet.pipeline.attacks.query import Query
from gauntlet.pipeline.batch import Batch
from gauntlet.pipeline.models.model import Model
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.models.sources.permission import Permission
from gauntlet.pipeline.oracle.responder import Responder
from gauntlet.pipeline.results.manifest import ModelCard
from gauntlet.pipeline.run.plan import Plan
from gauntlet.pipeline.run.plan_models import build_surrogate, build_target, device, image_dtype
from gauntlet.pipeline.run.showing import Showing

Role = Literal["surrogate", "target"]

FORWARD = 0.5
"""Share of a forward and backward pass that the forward pass takes.

Without gradients of the weights, the backward pass multiplies as much as the forward pass.
"""
REPEATS = 5
_KIND = "passes"


@dataclass(frozen=True)
class Pass:
    """What a model takes for a batch.

    Attributes:
        seconds: of a surrogate's forward and backward pass, or of a target's forward pass.
        weights: bytes of parameters and buffers; None where the model was not built.
        step: bytes that such a pass holds beside them: on a GPU its peak, on a CPU what is kept
            for the backward pass, with the largest layer's input and output.
        build: seconds in which the model was built now.
        fingerprint: of the model with its weights; None where it was not built.
    """

    seconds: float
    weights: int | None = None
    step: int | None = None
    build: float = 0.0
    fingerprint: str | None = None


def measured(spec: ModelSpec, role: Role, plan: Plan, batch: Batch, permission: Permission) -> Pass:
    """Return what a model's pass on a batch takes, on this process's device.

    A surrogate goes forward and back, in the plan's precision; a target forward, as it is shown
    images. The model is built, and gone when this returns. What was measured before, of the same
    model on the same kind of device with as many threads, is not measured again.

    Args:
        spec: the model.
        role: what it is in the plan.
        plan: says for what it is built.
        batch: the images; their content is of no account.
        permission: the code of the person's that an `import:` may run.

    Raises:
        BadInput: when the model cannot be built.
    """
    make = build_surrogate if role == "surrogate" else build_target
    started = time.perf_counter()
    model, card = make(spec, plan, permission)
    build = time.perf_counter() - started
    key = _key(card, role, plan, batch)
    found = _read(key)
    if found is None:
        once = _pass_of(model, role, plan, batch)
        held = step_bytes(once, model)
        found = Pass(_median(once), _bytes([*model.parameters(), *model.buffers()]), held)
        kept = {"seconds": found.seconds, "weights": found.weights, "step": found.step}
        user_cache.write(_KIND, key, json.dumps({**kept, "model": card.name}))
    return replace(found, build=build, fingerprint=card.fingerprint)


def step_bytes(once: Callable[[], object], model: torch.nn.Module) -> int:
    """Return the bytes that a pass holds beside a model's weights.

    Args:
        once: makes the pass.
        model: whose it is.
    """
    if device().type == "cuda":
        once()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        once()
        return torch.cuda.max_memory_allocated() - before
    own = {held.untyped_storage().data_ptr() for held in model.parameters()}
    saved: dict[int, int] = {}
    largest = 0

    def keep(held: torch.Tensor) -> torch.Tensor:
        storage = held.untyped_storage()
        if storage.data_ptr() not in own:
            saved[storage.data_ptr()] = storage.nbytes()
        return held

    def through(_: torch.nn.Module, given: object, made: object) -> None:
        nonlocal largest
        shown = [*(given if isinstance(given, tuple) else ()), made]
        largest = max(largest, _bytes([t for t in shown if isinstance(t, torch.Tensor)]))

    hook = torch.nn.modules.module.register_module_forward_hook(through)
    try:
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda held: held):
            once()
    finally:
        hook.remove()
    return sum(saved.values()) + largest


def _bytes(tensors: Sequence[torch.Tensor]) -> int:
    return sum(held.numel() * held.element_size() for held in tensors)


def device_name() -> str:
    """Return what a time is valid for: the GPU's name, or the CPU's with the threads."""
    if device().type == "cuda":
        return torch.cuda.get_device_name()
    return f"{processor()}, {torch.get_num_threads()} threads"


def processor() -> str:
    """Return what the system calls its CPU: the cache may be in a home folder of many machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _pass_of(model: Model, role: Role, plan: Plan, batch: Batch) -> Callable[[], object]:
    if role == "target":
        showing = Showing(batch.images, batch.ids, "clean", plan.seed)
        return lambda: showing.of(model)
    moved = batch.to(device(), image_dtype(plan.resources))
    setting = Setting(moved, Query(default_objective(batch.goal)), plan.seed, "measured", step=0)
    responder = Responder(model, rows_per_pass=plan.resources.rows_per_pass)
    return lambda: responder.gradients(setting, moved.images).values.cpu()


def _median(once: Callable[[], object]) -> float:
    once()
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        once()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def _key(card: ModelCard, role: Role, plan: Plan, batch: Batch) -> str:
    resources = plan.resources
    precision = (resources.dtype, resources.tf32, card.folded, resources.rows_per_pass)
    said = [
        *(card.fingerprint, role, device_name(), torch.__version__, tuple(batch.images.shape)),
        *(precision if role == "surrogate" else ()),
    ]
    return hashlib.blake2b(repr(said).encode(), digest_size=16).hexdigest()


def _read(key: str) -> Pass | None:
    if (content := user_cache.read(_KIND, key)) is None:
        return None
    try:
        found = json.loads(content)
        seconds = float(found["seconds"])
        entry = Pass(seconds, int(found["weights"]), int(found["step"]))
    except (ValueError, TypeError, KeyError):
        return None
    return entry if math.isfinite(seconds) and seconds > 0 else None
