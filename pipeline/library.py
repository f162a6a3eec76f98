"""Attacking a batch with your own models, in one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from pipeline.attacks.loop import run
from pipeline.attacks.recipe import Attack
from pipeline.batch import Batch, Goal
from pipeline.models.adapter import Model, adapt
from pipeline.oracle.in_process import InProcessOracle


def attack(
    models: Sequence[nn.Module],
    images: Tensor,
    labels: Tensor,
    recipe: Attack | None = None,
    *,
    goal: Goal | str = Goal.UNTARGETED,
    ids: Sequence[str] | None = None,
    seed: int = 0,
    quantize: bool = True,
    rows_per_pass: int = 256,
    on_step: Callable[[int, Tensor], None] | None = None,
) -> Tensor:
    """Return adversarial images for a batch.

    The models are left exactly as they are: mode, parameters' ``requires_grad`` and ``.grad``,
    buffers. They must be on the images' device and of the images' precision.

    Args:
        models: the surrogates, as they take images in [0, 1] (wrap one that wants normalised input
            with `pipeline.adapt(net, mean=..., std=...)`).
        images: (B, 3, H, W), floating point in [0, 1].
        labels: true classes, int64 (B,); wanted classes for ``targeted``; for ``impersonation`` and
            ``dodging`` the second image of each pair, (B, 3, H, W) in [0, 1].
        recipe: what to do; plain I-FGSM on the mean loss at 8/255 by default.
        goal: ``untargeted``, ``targeted``, ``impersonation`` or ``dodging``.
        ids: a stable name for each example, which keys its random draws; its position by default.
        seed: keys all random draws.
        quantize: round the result to 8 bits, inside the ball.
        rows_per_pass: most image views in one forward pass; bounds memory.
        on_step: called after every update with t in 1..T and the iterate.

    Returns:
        Adversarial images, (B, 3, H, W) in [0, 1].

    Raises:
        ValueError: when the shapes or the goal do not fit, when images are outside [0, 1], or when
            a surrogate's answer for an example is not finite (the example is named).
    """
    goal = Goal(goal)
    if images.numel() and not (float(images.min()) >= 0 and float(images.max()) <= 1):
        raise ValueError(
            f"images must be in [0, 1], got [{float(images.min()):g}, {float(images.max()):g}]; "
            "put the normalisation into the model: pipeline.adapt(net, mean=..., std=...)"
        )
    field = {Goal.UNTARGETED: "labels", Goal.TARGETED: "wanted"}.get(goal, "references")
    names = tuple(ids) if ids is not None else tuple(map(str, range(len(images))))
    batch = Batch(names, images, goal, **{field: labels})
    surrogates = [
        model if isinstance(model, Model) else adapt(model, name=f"model-{index}", task=goal.task)
        for index, model in enumerate(models)
    ]
    oracle = InProcessOracle(surrogates, rows_per_pass=rows_per_pass)
    with torch.enable_grad():
        result = run(
            recipe or Attack(), batch, oracle, seed=seed, quantize=quantize, on_step=on_step
        )
    if result.lost:
        lost = next(iter(result.lost.values()))
        raise ValueError(
            f"{len(result.lost)} of {len(batch)} examples cannot be attacked; the first is "
            f"{lost.example!r}, step {lost.step}, surrogate {lost.model!r}: {lost.reason}"
        )
    return result.images
