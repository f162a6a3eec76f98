"""Attacking a batch with your own models, or comparing their gradients, in one call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from gauntlet.pipeline.attacks.ask import Ask, Lost
from gauntlet.pipeline.attacks.combine.gram import Units
from gauntlet.pipeline.attacks.loop import run
from gauntlet.pipeline.attacks.messages import Setting
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Batch, Goal
from gauntlet.pipeline.library.images import posed
from gauntlet.pipeline.library.networks import Networks, named
from gauntlet.pipeline.models.fold import fold_batch_norm
from gauntlet.pipeline.models.model import Model
from gauntlet.pipeline.models.precision import autocast_for_networks_only
from gauntlet.pipeline.oracle.in_process import InProcessOracle

OnStep: TypeAlias = Callable[[int, Tensor], None]
"""Called after every update with t in 1..T and the iterate (B, 3, H, W)."""


def attack(
    models: Networks,
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
    on_step: OnStep | None = None,
    progress: bool = False,
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
            taken off. Names of bundled and library networks, such as ``zoo/NAME`` or
            ``timm/NAME``, are taken, too. A mapping names them; in a list, of several with one
            name all but the first are called ``NAME-2``, ``NAME-3``.
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
        progress: show a bar that moves with the updates.

    Returns:
        Adversarial images, (B, 3, H, W) in [0, 1], float32; float64 if the images are.

    Raises:
        ValueError: when the recipe has a `source` or `images` (those are for runs), when the shapes
            or the goal do not fit, when images are outside [0, 1], when a classifier has one output
            only, or when a surrogate's answer for an example is not finite (the example is named).
        TypeError: when an argument is of another type than above.
    """
    _refuse_other_than_parts(recipe)
    with _differentiating():
        batch, surrogates = _ready(models, images, labels, Goal.named(goal), ids, fold)
        oracle = InProcessOracle(surrogates, rows_per_pass=rows_per_pass)
        recipe = recipe or Attack()
        with _shown(progress, recipe.steps, on_step) as told:
            result = run(recipe, batch, oracle, seed=seed, quantize=quantize, on_step=told)
    _refuse_lost(result.lost, len(batch))
    return result.images


def gradient_cosines(
    models: Networks,
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
    _refuse_other_than_parts(recipe)
    with _differentiating():
        batch, surrogates = _ready(models, images, labels, Goal.named(goal), ids, fold)
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


def _ready(
    models: Networks,
    images: Tensor,
    labels: Tensor,
    goal: Goal,
    ids: Sequence[str] | None,
    fold: bool,
) -> tuple[Batch, list[Model]]:
    """Return the batch and the models, as a run has them."""
    batch = posed(images, labels, goal, ids)
    surrogates = named(models, goal.task, "model")
    if fold and len(batch):
        some = batch.images[:2]
        surrogates = [fold_batch_norm(net, probe=some.to(net.mean)).model for net in surrogates]
    return batch, surrogates


@contextmanager
def _shown(shown: bool, steps: int, other: OnStep | None) -> Iterator[OnStep | None]:
    """Return what is called after every update; a bar moves with it if one is wanted."""
    if not shown:
        yield other
        return
    with Progress(console=Console(stderr=True)) as bars:
        bar = bars.add_task("attack", total=steps)

        def told(step: int, points: Tensor) -> None:
            bars.update(bar, completed=step)
            if other is not None:
                other(step, points)

        yield told


def _refuse_other_than_parts(recipe: Attack | None) -> None:
    if recipe is not None and not isinstance(recipe, Attack):
        raise TypeError(f"recipe must be an Attack, got {recipe!r}: write Attack(base='di-ti-mi')")
    if recipe is not None and recipe.foreign is not None:
        raise ValueError(f"recipe {recipe.label!r} is foreign: only a run carries it out")


def _refuse_lost(lost: Mapping[int, Lost], examples: int) -> None:
    if lost:
        first = next(iter(lost.values()))
        raise ValueError(
            f"{len(lost)} of {examples} examples cannot be attacked; the first is "
            f"{first.example!r}, step {first.step}, surrogate {first.model!r}: {first.reason}"
        )
