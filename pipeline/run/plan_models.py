"""Building a plan's models: shared by every engine."""

from __future__ import annotations

import torch

from gauntlet.pipeline.models.build import build
from gauntlet.pipeline.models.fold import fold_batch_norm
from gauntlet.pipeline.models.model import Model
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.models.sources.permission import NOTHING, Permission
from gauntlet.pipeline.results.manifest import ModelCard
from gauntlet.pipeline.run.heap import keep_freed_memory
from gauntlet.pipeline.run.plan import Plan, Resources
from gauntlet.pipeline.run.software import hardware

DTYPES = {name: getattr(torch, name) for name in ("float32", "float64", "float16", "bfloat16")}
"""Types of surrogates, by name in `resources.dtype`."""
RANDOMISED_REPEATS = 5
"""Default evaluations of a randomised target per image (specification, trap 16)."""


def configure(resources: Resources, threads: int | None) -> None:
    """Set up a process that holds models: torch's settings as the plan asks, and the heap."""
    keep_freed_memory()
    if threads is not None:
        torch.set_num_threads(threads)
    torch.backends.cuda.matmul.allow_tf32 = resources.tf32
    torch.backends.cudnn.allow_tf32 = resources.tf32


def device() -> torch.device:
    """Return the GPU that this process may use, or the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def image_dtype(resources: Resources) -> torch.dtype:
    """Return the type of images, gradients and steps: the surrogates', float32 at least."""
    return torch.promote_types(DTYPES[resources.dtype], torch.float32)


def build_surrogate(
    spec: ModelSpec, plan: Plan, permission: Permission = NOTHING, checked: bool = False
) -> tuple[Model, ModelCard]:
    """Build a surrogate in the plan's precision, with batch norm folded if the plan says so.

    Args:
        spec: the surrogate.
        plan: says for what it is built.
        permission: the code of the person's that an `import:` may run.
        checked: whether this process has found the spec sound already.
    """
    resources = plan.resources
    return _built(spec, plan, permission, checked, resources.dtype, resources.fold)


def build_target(
    spec: ModelSpec, plan: Plan, permission: Permission = NOTHING, checked: bool = False
) -> tuple[Model, ModelCard]:
    """Build a target: float32, as its checkpoint has it; arguments as of `build_surrogate`."""
    return _built(spec, plan, permission, checked, "float32", False)


def _built(
    spec: ModelSpec, plan: Plan, permission: Permission, checked: bool, dtype: str, fold: bool
) -> tuple[Model, ModelCard]:
    # In half precision, too, it is first made, and known by its weights, in float32.
    wide = torch.promote_types(DTYPES[dtype], torch.float32)
    model = build(
        spec,
        root=plan.root,
        device=device(),
        dtype=wide,
        task=plan.task.kind,
        permission=permission,
        checked=checked,
    )
    card = card_of(model)
    if fold:
        model, folded = fold_batch_norm(model)
        card = card.model_copy(update={"folded": folded})
    return model.to(DTYPES[dtype]), card


def card_of(model: Model) -> ModelCard:
    """Return what a model says of itself, before its batch norm is folded."""
    return ModelCard(
        name=model.name,
        fingerprint=model.fingerprint,
        weights=model.weights_fingerprint,
        preprocessing=str(model.preprocessing),
        randomised=model.randomised,
        folded=False,
        device=str(device()),
        hardware=hardware(device()),
        threads=torch.get_num_threads(),
        adversarial=model.description.adversarial or None,
    )
