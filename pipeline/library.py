"""Attacking a batch with your own models, or comparing their gradients, in one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from itertools import count

import torch
from torch import Tensor, nn

from pipeline.attacks.ask import Ask, Lost
from pipeline.attacks.combine.gram import Units
from pipeline.attacks.loop import run
from pipeline.attacks.query import Setting
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
            with `pipeline.adapt(net, mean=..., std=...)`). Of several with one name all but the
            first are called ``NAME-2``, ``NAME-3``.
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
        TypeError: when an argument is of another type than above.
    """
    _refuse_other_than_attack(recipe)
    batch, surrogates = _posed(models, images, labels, Goal(goal), ids)
    oracle = InProcessOracle(surrogates, rows_per_pass=rows_per_pass)
    with torch.enable_grad():
        result = run(
            recipe or Attack(), batch, oracle, seed=seed, quantize=quantize, on_step=on_step
        )
    _refuse_lost(result.lost, len(batch))
    return result.images


def gradient_cosines(
    models: Sequence[nn.Module],
    images: Tensor,
    labels: Tensor,
    recipe: Attack | None = None,
    *,
    goal: Goal | str = Goal.UNTARGETED,
    ids: Sequence[str] | None = None,
    seed: int = 0,
    rows_per_pass: int = 256,
) -> Tensor:
    """Return how far the models' gradients agree on each image (RGEA paper, Figure 2).

    A small cosine is what separates combination rules: where the gradients agree they all coincide.

    Args:
        models: as in `attack`, and left as they are.
        images: (B, 3, H, W), floating point in [0, 1], where the gradients are taken.
        labels: as in `attack`.
        recipe: its objective is differentiated, with its views and surgery as in the first update;
            cross-entropy or cosine by default.
        goal: as in `attack`.
        ids: as in `attack`.
        seed: as in `attack`.
        rows_per_pass: as in `attack`.

    Returns:
        (B, k, k) in float64: cosines of the gradients of k models; NaN beside a gradient of zeros,
        such as that of the cosine to the image itself.

    Raises:
        ValueError: as `attack` does, and when the objective needs a base attack first.
        TypeError: as `attack` does.
    """
    _refuse_other_than_attack(recipe)
    batch, surrogates = _posed(models, images, labels, Goal(goal), ids)
    oracle = InProcessOracle(surrogates, rows_per_pass=rows_per_pass)
    method = (recipe or Attack()).method(batch.goal, images[0].numel() if len(batch) else 1)
    if method.query.objective.guide() is not None:
        raise ValueError(f"objective {recipe and recipe.objective!r} goes on from another attack")
    ask = Ask(oracle, range(len(surrogates)), Setting(batch, method.query, seed, method.label, 0))
    with torch.enable_grad():
        answers = ask(images)
    _refuse_lost(ask.lost, len(batch))
    units = Units.of(answers.gradients.flatten(2))
    silent = units.inverse == 0
    if (stationary := method.query.objective.stationary(batch)) is not None:
        silent |= stationary[:, None]
    return units.matrix.masked_fill(silent[:, :, None] | silent[:, None, :], torch.nan)


def _posed(
    models: Sequence[nn.Module],
    images: Tensor,
    labels: Tensor,
    goal: Goal,
    ids: Sequence[str] | None,
) -> tuple[Batch, list[Model]]:
    """Return the batch and the models, as a run has them."""
    if isinstance(models, nn.Module) and not isinstance(models, nn.ModuleList):
        raise TypeError(f"models must be a list, got one {type(models).__name__}: write [net]")
    if not isinstance(images, Tensor):
        raise TypeError(f"images must be a tensor (B, 3, H, W), got {type(images).__name__}")
    field = {Goal.UNTARGETED: "labels", Goal.TARGETED: "wanted"}.get(goal, "references")
    names = tuple(ids) if ids is not None else tuple(map(str, range(len(images))))
    batch = Batch(names, images, goal, **{field: labels})
    for kind, values in (("images", batch.images), ("references", batch.references)):
        if values is None or not values.numel():
            continue
        low, high = float(values.min()), float(values.max())
        if not (low >= 0 and high <= 1):
            raise ValueError(
                f"{kind} must be in [0, 1], got [{low:g}, {high:g}]; put the normalisation into "
                "the model: pipeline.adapt(net, mean=..., std=...)"
            )
    surrogates = [
        model if isinstance(model, Model) else adapt(model, name=f"model-{index}", task=goal.task)
        for index, model in enumerate(models)
    ]
    return batch, _named_apart(surrogates)


def _named_apart(models: Sequence[Model]) -> list[Model]:
    """Return the models under names of their own, which key their draws; the first keeps its."""
    taken = {model.name for model in models}
    apart: list[Model] = []
    for model in models:
        if any(model.name == other.name for other in apart):
            name = next(n for i in count(2) if (n := f"{model.name}-{i}") not in taken)
            taken.add(name)
            model = copy(model)  # shares everything but the name with the caller's
            model.name = name
        apart.append(model)
    return apart


def _refuse_other_than_attack(recipe: Attack | None) -> None:
    if recipe is not None and not isinstance(recipe, Attack):
        raise TypeError(f"recipe must be an Attack, got {recipe!r}: write Attack(base='di-ti-mi')")


def _refuse_lost(lost: Mapping[int, Lost], examples: int) -> None:
    if lost:
        first = next(iter(lost.values()))
        raise ValueError(
            f"{len(lost)} of {examples} examples cannot be attacked; the first is "
            f"{first.example!r}, step {first.step}, surrogate {first.model!r}: {first.reason}"
        )
