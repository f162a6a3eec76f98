"""A renderer that costs nothing: a smooth pattern per person, noise per picture."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.models.zoo.recipes import RECIPES, Recipe
from gauntlet.pipeline.progress import Silent
from gauntlet.pipeline.training.zoo.pool import TEST, Pool, open_pool
from gauntlet.pipeline.training.zoo.produce import finish
from gauntlet.pipeline.training.zoo.train import begin, train


def patterns(identities: Tensor, shots: Tensor) -> Tensor:
    people = [str(number) for number in identities.tolist()]
    pictures = [f"{who}/{shot}" for who, shot in zip(people, shots.tolist(), strict=True)]
    coarse = F.interpolate(Draws.keyed(0, people).uniform("p", (3, 6, 6)), (48, 48))
    noise = F.interpolate(Draws.keyed(0, pictures).uniform("n", (3, 12, 12)), (48, 48))
    return (255 * (0.8 * coarse + 0.2 * noise)).to(torch.uint8)


def small_pool(folder: Path, first: int = 0, identities: int = 8, shots: int = 4) -> Pool:
    return open_pool(
        folder,
        first=first,
        identities=identities,
        shots=shots,
        progress=Silent(),
        render=patterns,
    )


def small_recipe(like: str = "s1", /, steps: int = 6, **changes: object) -> Recipe:
    settings = {"identities": 8, "shots": 4, "batch": 8, "images": 8 * steps, "shift": 1, **changes}
    return Recipe.model_validate({**RECIPES[like].model_dump(), **settings})


def small_weights(folder: Path) -> Path:
    """Return a folder with s1's weights after six updates."""
    pool, test = small_pool(folder / "cache"), small_pool(folder / "cache", TEST, 12, 3)
    training = begin(small_recipe(), pool, None)
    train(training, pool, folder / "c.safetensors", Silent())
    finish(training, test, folder / "weights", folds=3, same=10, attacked=6)
    return folder / "weights"
