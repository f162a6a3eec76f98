"""How long a model takes for a batch: measured once, kept in the user's cache."""

from __future__ import annotations

import hashlib
import json
import math
import statistics
import time
from collections.abc import Callable
from typing import Literal

import torch

from gauntlet.pipeline.attacks.messages import Setting
from gauntlet.pipeline.attacks.method import default_objective
from gauntlet.pipeline.attacks.query import Query
from gauntlet.pipeline.batch import Batch
from gauntlet.pipeline.models.model import Model
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.models.sources.permission import Permission
from gauntlet.pipeline.oracle.responder import Responder
from gauntlet.pipeline.results.manifest import ModelCard
from gauntlet.pipeline.run import user_cache
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


def measured(
    spec: ModelSpec, role: Role, plan: Plan, batch: Batch, permission: Permission
) -> float:
    """Return the seconds of a model's pass on a batch, on this process's device.

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
    model, card = make(spec, plan, permission)
    key = _key(card, role, plan, batch)
    found = _read(key)
    if found is None:
        found = _median(_pass_of(model, role, plan, batch))
        user_cache.write(_KIND, key, json.dumps({"seconds": found, "model": card.name}))
    return found


def device_name() -> str:
    """Return what a time is valid for: the GPU's name, or the CPU with its threads."""
    if device().type == "cuda":
        return torch.cuda.get_device_name()
    return f"cpu, {torch.get_num_threads()} threads"


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


def _read(key: str) -> float | None:
    if (content := user_cache.read(_KIND, key)) is None:
        return None
    try:
        seconds = float(json.loads(content)["seconds"])
    except (ValueError, TypeError, KeyError):
        return None
    return seconds if math.isfinite(seconds) and seconds > 0 else None
