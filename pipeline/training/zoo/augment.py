"""Training batches: which pictures, how they are moved and mirrored; all from keyed draws."""

from __future__ import annotations

import torch
from torch import Tensor

from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.models.zoo.recipes import Recipe
from gauntlet.pipeline.training.zoo.pool import Pool


def batch_draws(recipe: Recipe, step: int) -> Draws:
    """Return one stream per row of an update's batch: a function of recipe and step alone."""
    rows = [str(row) for row in range(recipe.batch)]
    return Draws.keyed(recipe.seed, rows, attack="zoo/train", step=step, model=recipe.name)


def batch(recipe: Recipe, pool: Pool, draws: Draws) -> tuple[Tensor, Tensor]:
    """Return the images and identities of an update.

    Returns:
        Images, float32 (B, 3, 48, 48) in [0, 1], channels last; positions of their identities in
        the pool, int64 (B,).
    """
    identities = draws.integers("identity", 0, recipe.identities)
    shots = draws.integers("shot", 0, recipe.shots)
    pictures = pool.pictures(identities, shots)
    moved = move(
        pictures,
        draws.integers("shift", -recipe.shift, recipe.shift + 1, (2,)),
        draws.uniform("flip") < (0.5 if recipe.flip else 0.0),
    )
    return (moved.float() / 255).contiguous(memory_format=torch.channels_last), identities


def move(pictures: Tensor, shift: Tensor, mirror: Tensor) -> Tensor:
    """Return pictures moved by whole pixels, their edges repeated, and some mirrored.

    Args:
        pictures: (B, 3, H, W) of any type.
        shift: rows and columns, int64 (B, 2): the result at (i, j) is the picture at
            (i + shift_0, j + shift_1), mirrored after that.
        mirror: bool (B,).
    """
    size, channels, height, width = pictures.shape
    rows = (torch.arange(height) + shift[:, :1]).clamp(0, height - 1)
    columns = (torch.arange(width) + shift[:, 1:]).clamp(0, width - 1)
    columns = torch.where(mirror[:, None], columns.flip(1), columns)
    return pictures[
        torch.arange(size)[:, None, None, None],
        torch.arange(channels)[None, :, None, None],
        rows[:, None, :, None],
        columns[:, None, None, :],
    ]
