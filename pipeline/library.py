"""Attacking a batch with your own models, or comparing their gradients, in one call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from itertools import count

import torch
from torch import Tensor, nn

from gauntlet.pipeline.attacks.ask import Ask, Lost
from gauntlet.pipeline.attacks.combine.gram import Units
from gauntlet.pipeline.attacks.loop import run
from gauntlet.pipeline.attacks.messages import Setting
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Batch, Goal
from gauntlet.pipeline.models.fold import fold_batch_norm
from gauntlet.pipeline.models.model import Model, Network, adapt
from gauntlet.pipeline.models.precision import autocast_for_networks_only
from gauntlet.pipeline.norms import per_row
from gauntlet.pipeline.oracle.in_process import InProcessOracle

_ROUNDING = 1e-6
"""How far from [0, 1] a pixel may lie: as rounding leaves it, no more."""


def attack(
    models: Sequence[Network],
    images: Tensor,
    labels: Tensor,
    recipe: Attack | None = None,
    *,
    goal: Goal | str = Goal.UNTARGETED,
    ids: Sequence[str] | None = None,
    seed: int = 0,
    quantize: bool = True,
    rows_per_pass: int = 256,
    fold: bool = True,
    on_step: Callable[[int, Tensor], None] | None = None,
) -> Tensor:
    """Return adversarial images for a batch.

    The models are left exactly as they are: mode, parameters' ``requires_grad`` and ``.grad``,
    buffers, memory format. Each runs in its own floating point type and on its own device, in the
    autocast contexts around the call; images, gradients and steps are in float32, or in float64 if
    the images are.

    Args:
        models: the surrogates, as they take images in [0, 1] (wrap one that wants normalised input
            with `gauntlet.adapt(net, mean=..., std=...)`): modules, of TorchScript too, or
            functions of images. `DataParallel`, `DistributedDataParallel` and `torch.compile` are
            taken off. Of several with one name all but the first are called ``NAME-2``, ``NAME-3``.
        images: (B, 3, H, W), floating point in [0, 1], to within 1e-6. In half precision, 8-bit
            images are read as what they were before they were rounded to it.
        labels: true classes, int64 (B,); wanted classes for ``targeted``; for ``impersonation`` and
            ``dodging`` the second image of each pair, (B, 3, H, W) in [0, 1].
        recipe: what to do; plain I-FGSM on the mean loss at 8/255 by default.
        goal: ``untargeted``, ``targeted``, ``impersonation`` or ``dodging``.
        ids: a stable name for each example, which keys its random draws; its position by default.
        seed: keys all random draws.
        quantize: round the result to 8 bits, inside the ball.
        rows_per_pass: most image views in one forward pass; bounds memory.
        fold: fold batch norm into convolutions and use channels-last memory, in copies: faster,
            with gradients that agree to 1e-5. Networks that cannot be traced, or that have hooks,
            run as they are.
        on_step: called after every update with t in 1..T and the iterate.

    Returns:
        Adversarial images, (B, 3, H, W) in [0, 1], float32; float64 if the images are.

    Raises:
        ValueError: when the shapes or the goal do not fit, when images are outside [0, 1], when a
            classifier has one output only, or when a surrogate's answer for an example is not
            finite (the example is named).
        TypeError: when an argument is of another type than above.
    """
    _refuse_other_than_attack(recipe)
    with _differentiating():
        batch, surrogates = _posed(models, images, labels, Goal.named(goal), ids, fold)
        oracle = InProcessOracle(surrogates, rows_per_pass=rows_per_pass)
        result = run(
            recipe or Attack(), batch, oracle, seed=seed, quantize=quantize, on_step=on_step
        )
    _refuse_lost(result.lost, len(batch))
    return result.images


def gradient_cosines(
    models: Sequence[Network],
    images: Tensor,
    labels: Tensor,
    recipe: Attack | None = None,
    *,
    goal: Goal | str = Goal.UNTARGETED,
    ids: Sequence[str] | None = None,
    seed: int = 0,
    rows_per_pass: int = 256,
    fold: bool = True,
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
        fold: as in `attack`.

    Returns:
        (B, k, k) in float64: cosines of the gradients of k models; NaN beside a gradient of zeros,
        such as that of the cosine to the image itself.

    Raises:
        ValueError: as `attack` does, and when the objective needs a base attack first.
        TypeError: as `attack` does.
    """
    _refuse_other_than_attack(recipe)
    with _differentiating():
        batch, surrogates = _posed(models, images, labels, Goal.named(goal), ids, fold)
        oracle = InProcessOracle(surrogates, rows_per_pass=rows_per_pass)
        method = (recipe or Attack()).method(batch.goal, images[0].numel() if len(batch) else 1)
        if method.query.objective.guide() is not None:
            objective = recipe and recipe.objective
            raise ValueError(f"objective {objective!r} goes on from another attack")
        setting = Setting(batch, method.query, seed, method.label, 0)
        ask = Ask(oracle, range(len(surrogates)), setting)
        answers = ask(batch.images)
    _refuse_lost(ask.lost, len(batch))
    units = Units.of([gradient.flatten(1) for gradient in answers.gradients])
    silent = units.inverse == 0
    if (stationary := method.query.objective.stationary(batch)) is not None:
        silent |= stationary[:, None]
    return units.matrix.masked_fill(silent[:, :, None] | silent[:, None, :], torch.nan)


@contextmanager
def _differentiating() -> Iterator[None]:
    """Differentiate whatever the caller has switched off, in the precision of the images."""
    with torch.inference_mode(False), torch.enable_grad(), autocast_for_networks_only():
        yield


def _posed(
    models: Sequence[Network],
    images: Tensor,
    labels: Tensor,
    goal: Goal,
    ids: Sequence[str] | None,
    fold: bool,
) -> tuple[Batch, list[Model]]:
    """Return the batch and the models, as a run has them."""
    if callable(models) and not isinstance(models, nn.ModuleList):
        name = getattr(models, "__name__", type(models).__name__)
        raise TypeError(f"models must be a list, got one {name}: write [net]")
    if not isinstance(images, Tensor):
        raise TypeError(f"images must be a tensor (B, 3, H, W), got {type(images).__name__}")
    field = {Goal.UNTARGETED: "labels", Goal.TARGETED: "wanted"}.get(goal, "references")
    names = tuple(ids) if ids is not None else tuple(map(str, range(len(images))))
    batch = Batch(names, _usable(images), goal, **{field: _usable(labels)})
    batch = replace(batch, images=_pixels("images", batch.images))
    if batch.references is not None:
        references = _pixels("references", batch.references)
        batch = replace(batch, references=references.to(batch.images))
    surrogates = [
        model if isinstance(model, Model) else adapt(model, name=f"model-{index}", task=goal.task)
        for index, model in enumerate(models)
    ]
    apart = _named_apart(surrogates)
    if fold and len(batch):
        some = batch.images[:2]
        apart = [fold_batch_norm(net, probe=some.to(net.mean)).model for net in apart]
    return batch, apart


def _named_apart(models: Sequence[Model]) -> list[Model]:
    """Return the models under names of their own, which key their draws; the first keeps its."""
    taken = {model.name for model in models}
    apart: list[Model] = []
    for model in models:
        if any(model.name == other.name for other in apart):
            name = next(n for i in count(2) if (n := f"{model.name}-{i}") not in taken)
            taken.add(name)
            model = copy(model)  # shares everything but the name with the caller's
            model.description = replace(model.description, name=name)
        apart.append(model)
    return apart


def _usable(values: Tensor) -> Tensor:
    """Return the values; as a copy if autograd refuses them (made in inference mode)."""
    return values.clone() if isinstance(values, Tensor) and values.is_inference() else values


def _pixels(kind: str, images: Tensor) -> Tensor:
    """Return images in float32 or float64, and exactly in [0, 1].

    A half-precision image whose every pixel is an 8-bit level as its type rounds it is read as
    these levels: off their grid, half of the smallest steps would leave the ball.

    Raises:
        ValueError: when a value is outside [0, 1] by more than 1e-6.
    """
    if images.numel():
        low, high = float(images.min()), float(images.max())
        if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):
            raise ValueError(
                f"{kind} must be in [0, 1], got [{low:.7g}, {high:.7g}]; put the normalisation "
                "into the model: gauntlet.adapt(net, mean=..., std=...)"
            )
    wide = images.detach().to(torch.promote_types(images.dtype, torch.float32)).clamp(0, 1)
    if wide.dtype is images.dtype:
        return wide
    levels = (wide.double() * 255).round().div(255).to(wide.dtype)
    return torch.where(per_row((levels.to(images) == images).flatten(1).all(1), wide), levels, wide)


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
