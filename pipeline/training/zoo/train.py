"""The training loop of the zoo's networks."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from gauntlet.pipeline.models.architectures import ARCHITECTURES
from gauntlet.pipeline.models.architectures.zoo.blocks import EMBEDDING
from gauntlet.pipeline.models.zoo.recipes import Recipe
from gauntlet.pipeline.progress import Progress
from gauntlet.pipeline.training import descent
from gauntlet.pipeline.training.descent import half_cosine, make_optimiser
from gauntlet.pipeline.training.zoo.adversary import adversarial_loss
from gauntlet.pipeline.training.zoo.augment import batch, batch_draws
from gauntlet.pipeline.training.zoo.interrupted import Interrupted
from gauntlet.pipeline.training.zoo.margins import make_head
from gauntlet.pipeline.training.zoo.pool import Pool
from gauntlet.pipeline.training.zoo.state import Training, save

SAVE_EVERY = 30.0
"""Seconds between two checkpoints."""
_CENTRE_SHOTS = 4
"""Pictures of each identity that a warm-started head's weights are the mean of."""


def normalised(images: Tensor) -> Tensor:
    """Return images in [0, 1] as the zoo's networks take them, (x - 0.5) / 0.5."""
    return (images - 0.5) / 0.5


def begin(recipe: Recipe, pool: Pool, twin: nn.Module | None) -> Training:
    """Return a training before its first update.

    The network has the recipe's seeded initial weights, or a copy of its twin's; then the head
    starts from the mean embedding of each identity, as the twin's own head is not kept.

    Args:
        recipe: what to train.
        pool: the faces.
        twin: the network that an adversarial training starts from; None to start from nothing.
    """
    # torch's constructors draw from the global generator: seeded here, and put back as it was.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = ARCHITECTURES[recipe.architecture].constructor()
        head = make_head(
            recipe.head, EMBEDDING, recipe.identities, scale=recipe.scale, margin=recipe.margin
        )
    network.to(memory_format=torch.channels_last)
    if twin is not None:
        network.load_state_dict(twin.state_dict())
        head.centre(_means(network, pool, recipe.identities))
    optimiser = make_optimiser(
        recipe.optimiser,
        [*network.parameters(), *head.parameters()],
        recipe.lr,
        recipe.weight_decay,
        nesterov=True,
        fused=True,
    )
    return Training(recipe, network.train(), head, optimiser)


def train(
    training: Training,
    pool: Pool,
    checkpoint: Path,
    progress: Progress,
    *,
    stopped: Callable[[], bool] = lambda: False,
) -> list[float]:
    """Do the updates that are left.

    Every update depends on the recipe, its own number and the state alone: a training that was
    interrupted and restored does the same updates as one that was not.

    Args:
        training: where to start; changed in place.
        pool: the faces.
        checkpoint: written every half minute, when stopped, and at the end.
        progress: told of every image.
        stopped: asked after every update whether to stop.

    Returns:
        Mean loss of every update done here.

    Raises:
        Interrupted: when told to stop before the last update.
        RuntimeError: when the loss is not finite.
    """
    recipe = training.recipe
    stage = f"{recipe.name} ({recipe.architecture})"
    progress.stage(stage, recipe.steps * recipe.batch, "images")
    progress.advance(stage, training.step * recipe.batch)
    losses: list[float] = []
    started, saved = time.monotonic() - training.seconds, time.monotonic()
    for value in _updates(training, pool):
        losses.append(value)
        training.step += 1
        now = time.monotonic()
        training.seconds = now - started
        progress.advance(stage, recipe.batch)
        stop = stopped() and training.step < recipe.steps
        if stop or now - saved >= SAVE_EVERY:
            save(training, checkpoint)
            saved = now
        if stop:
            done = f"after update {training.step:,} of {recipe.steps:,}"
            raise Interrupted(f"{recipe.name}: stopped {done}; --resume goes on from {checkpoint}")
    # What comes after the last update may fail, and should not cost the training.
    save(training, checkpoint)
    return losses


def learning_rate(recipe: Recipe, step: int) -> float:
    """Return the rate of update ``step``, 0 .. steps - 1: a linear rise, then half a cosine."""
    rise = max(1.0, recipe.warm_up * recipe.steps)
    if step < rise:
        return recipe.lr * (step + 1) / (rise + 1)
    share = (step - rise) / max(1.0, recipe.steps - rise)
    return half_cosine(recipe.lr, math.pi * share)


def _updates(training: Training, pool: Pool) -> Iterator[float]:
    recipe = training.recipe
    losses = (_loss(training, pool, step) for step in range(training.step, recipe.steps))
    try:
        yield from descent.train(
            training.optimiser,
            training.parameters,
            losses,
            lambda step: learning_rate(recipe, step),
            clip=recipe.clip,
            first=training.step,
        )
    except descent.Diverged as error:
        raise RuntimeError(f"{recipe.name}: {error}") from None


def _loss(training: Training, pool: Pool, step: int) -> Tensor:
    recipe, network, head = training.recipe, training.network, training.head
    draws = batch_draws(recipe, step)
    images, identities = batch(recipe, pool, draws)
    ramp = min(1.0, step / (recipe.ramp * recipe.steps)) if recipe.ramp else 1.0

    def embed(points: Tensor) -> Tensor:
        embeddings: Tensor = network(normalised(points))
        return embeddings

    if recipe.adversarial is None:
        losses = head(embed(images), identities, ramp)
    else:
        losses = adversarial_loss(
            recipe.adversarial, network, embed, head, images, identities, ramp, draws
        )
    loss: Tensor = losses.mean()
    return loss


@torch.no_grad()
def _means(network: nn.Module, pool: Pool, identities: int) -> Tensor:
    """Return the mean direction of the first few pictures of each identity, (N, D)."""
    network.eval()
    shots = min(_CENTRE_SHOTS, pool.shots)
    means = []
    for rows in torch.split(torch.arange(identities), 64):
        faces = pool.faces[rows, :shots].flatten(0, 1).float() / 255
        inputs = normalised(faces).contiguous(memory_format=torch.channels_last)
        directions = nn.functional.normalize(network(inputs))
        means.append(torch.unflatten(directions, 0, (len(rows), shots)).mean(1))
    network.train()
    return torch.cat(means)
