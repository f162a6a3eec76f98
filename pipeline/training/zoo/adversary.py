"""Adversarial training of embeddings.

Both methods were written for classifiers. A verification model is judged by angles between
embeddings, so a perturbation is one of direction: d(a, b) = 1 - cos(a, b). With f the network, L
the head's loss, y the identity and x' the image found in the l_inf ball around x:

- PGD-AT (Madry 2018, eq. 2.1): the outer loss is L(f(x'), y), on adversarial images alone. The
  inner steps raise L(f(x'), y) (``inner: loss``), or d(f(x'), f(x)) (``inner: distance``), which no
  identity of the training set enters: that suits test identities, which are none of them.
- TRADES (Zhang 2019, eq. 5): the outer loss is L(f(x), y) + beta d(f(x'), f(x)), with d in place of
  the divergence of two class distributions; the inner steps raise d(f(x'), f(x)).

Inner steps see batch norm's running statistics, and leave them alone; the outer pass of TRADES
normalises clean and adversarial images as one batch.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gauntlet.pipeline.attacks.ball import Ball
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.models.zoo.recipes import Adversarial
from gauntlet.pipeline.training.ascent import ascend
from gauntlet.pipeline.training.zoo.margins import Head

Embed = Callable[[Tensor], Tensor]
"""Images in [0, 1], (B, 3, 48, 48), to embeddings (B, D)."""


def distance(first: Tensor, second: Tensor) -> Tensor:
    """Return 1 - cosine of two batches of embeddings, (B,)."""
    return 1 - F.cosine_similarity(first, second)


def adversarial_loss(
    settings: Adversarial,
    network: nn.Module,
    embed: Embed,
    head: Head,
    images: Tensor,
    identities: Tensor,
    ramp: float,
    draws: Draws,
) -> Tensor:
    """Return the outer loss of each example, (B,).

    Args:
        settings: which method.
        network: the network that ``embed`` runs; put into eval mode for the inner steps.
        embed: preprocessing and network.
        head: the loss on embeddings.
        images: (B, 3, 48, 48) in [0, 1].
        identities: int64 (B,).
        ramp: share of the head's margin.
        draws: one stream per example, for the random start.
    """
    network.eval()
    if settings.inner == "loss":

        def raised(points: Tensor) -> Tensor:
            loss: Tensor = head(embed(points), identities, ramp)
            return loss
    else:
        with torch.no_grad():
            fixed = embed(images)

        def raised(points: Tensor) -> Tensor:
            return distance(embed(points), fixed)

    ball = Ball("linf", settings.epsilon)
    hard = ascend(raised, images, ball, settings.steps, settings.step_size, draws)
    network.train()
    if settings.method == "pgd-at":
        loss: Tensor = head(embed(hard), identities, ramp)
        return loss
    both = torch.cat((images, hard)).contiguous(memory_format=torch.channels_last)
    clean, moved = embed(both).chunk(2)
    total: Tensor = head(clean, identities, ramp) + settings.beta * distance(moved, clean)
    return total
