"""Going on with the training of a classifier that will be a surrogate."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gauntlet.pipeline.batch import Batch, Task
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.models.mean import MeanLogits
from gauntlet.pipeline.models.model import Model
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.training.descent import Diverged, half_cosine, make_optimiser, train
from gauntlet.pipeline.training.robustness import Logits
from gauntlet.pipeline.training.settings import FineTuning
from gauntlet.pipeline.training.unattacked import Unattacked

Loss = Callable[[Batch, Draws], Tensor]
"""Images with labels, and one stream per image, to the loss of each, (B,)."""
Done = Callable[[int, float], None]
"""Told of each epoch, from 1 on, and its mean loss."""


@dataclass(frozen=True, kw_only=True)
class FineTuned:
    """A fine-tuned network, and the images that it was made with.

    Attributes:
        network: with the names of the original's weights, in eval mode.
        losses: mean of the training's loss in each epoch.
        training: images that were trained on.
        held_out: images that were judged by.
    """

    network: nn.Module
    losses: tuple[float, ...]
    training: Unattacked
    held_out: Unattacked


def refuse_untrainable(model: Model) -> None:
    """Raise `BadInput` unless a model is one network that classifies and has weights of its own."""
    wrong = ""
    if model.task is not Task.CLASSIFICATION:
        wrong = "gives embeddings, and the loss is a classifier's"
    elif model.defence is not None:
        wrong = "stands behind a defence, which a file of weights cannot hold"
    elif isinstance(model.network, MeanLogits):
        wrong = "is the mean of several networks; train each of them"
    elif not any(True for _ in model.network.parameters()):
        wrong = "has no weights to train"
    if wrong:
        raise BadInput(Problem("--surrogate", f"{model.name!r} {wrong}"))


def trainable(model: Model, images: Unattacked) -> nn.Module:
    """Return a copy of a classifier's network whose parameters can be trained, in eval mode.

    Args:
        model: the surrogate, in float32 and not folded; never changed.
        images: what it is to be trained on.

    Raises:
        BadInput: when it is no single network that classifies these images.
    """
    refuse_untrainable(model)
    labels = images.examples.listing.labels
    first = images.batch(torch.tensor([0])).images.to(model.mean.device, model.mean.dtype)
    with torch.no_grad():
        classes = model(first).shape[1]
    if labels is None or int(labels.max()) >= classes:
        what = "none" if labels is None else f"the label {int(labels.max())}"
        raise BadInput(
            Problem(
                "data", f"{model.name!r} has classes 0 to {classes - 1}, the images have {what}"
            )
        )
    return copy.deepcopy(model.network).requires_grad_(True).eval()


def logits_of(network: nn.Module, model: Model) -> Logits:
    """Return a network in training as a classifier of canonical images, prepared as its original's.

    Args:
        network: what `trainable` gave.
        model: its original.
    """

    def logits(points: Tensor) -> Tensor:
        outputs: Tensor = network(model.inputs(points))
        return outputs

    return logits


def fine_tune(
    parameters: Sequence[nn.Parameter],
    images: Unattacked,
    settings: FineTuning,
    loss: Loss,
    *,
    model: str,
    done: Done = lambda epoch, mean: None,
) -> list[float]:
    """Lower the mean of a loss, in place; return its mean over each epoch.

    Args:
        parameters: what is trained.
        images: to train on.
        settings: how.
        loss: of each image of a batch; its draws are keyed by seed, image, epoch and model.
        model: the surrogate's name.
        done: told of each epoch.

    Raises:
        BadInput: when the loss is no longer finite.
    """
    optimiser = make_optimiser(settings.optimiser, parameters, settings.rate, settings.weight_decay)
    parts = -(-len(images) // settings.batch)
    total = parts * settings.epochs
    sizes: list[int] = []

    def losses() -> Iterator[Tensor]:
        for epoch in range(settings.epochs):
            draws = Draws.keyed(
                settings.seed, images.ids, attack="surrogates", step=epoch, model=model
            )
            for rows in draws.bits("order").argsort().tensor_split(parts):
                batch = images.batch(rows).to(parameters[0].device, parameters[0].dtype)
                streams = draws.rows(rows)
                if settings.flips:
                    batch = _flipped(batch, streams)
                sizes.append(len(rows))
                yield loss(batch, streams).mean()

    def rate(update: int) -> float:
        return half_cosine(settings.rate, math.pi * update / total)

    means, summed = [], 0.0
    try:
        for value in train(optimiser, parameters, losses(), rate, clip=settings.clip):
            summed += value * sizes[-1]
            if len(sizes) % parts == 0:
                means.append(summed / len(images))
                done(len(means), means[-1])
                summed = 0.0
    except Diverged as error:
        what = f"the loss of update {error.update + 1} is {error.loss}"
        raise BadInput(Problem("--rate", f"{what}; a lower rate may keep it finite")) from None
    return means


def _flipped(batch: Batch, draws: Draws) -> Batch:
    chosen = draws.uniform("flip", device=batch.images.device) < 0.5
    images = torch.where(chosen[:, None, None, None], batch.images.flip(3), batch.images)
    return Batch(batch.ids, images, batch.goal, labels=batch.labels)
