from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from gauntlet.pipeline.models.zoo.recipes import Recipe
from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.progress import Silent
from gauntlet.pipeline.training.zoo.interrupted import Interrupted
from gauntlet.pipeline.training.zoo.state import Training, restore, save
from gauntlet.pipeline.training.zoo.train import begin, learning_rate, train
from tests.toys.faces import small_pool, small_recipe


def state(training: Training) -> dict[str, torch.Tensor]:
    memory = {
        f"{index}.{key}": value
        for index, entry in training.optimiser.state_dict()["state"].items()
        for key, value in entry.items()
    }
    return {**training.network.state_dict(), **memory, "head": training.head.weight.detach()}


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("s1", {}),
        ("n7", {"optimiser": "sgd"}),
        ("a1", {"adversarial": {"method": "pgd-at"}}),
        ("a2", {}),
    ],
)
def test_interrupted_and_resumed_is_uninterrupted(
    tmp_path: Path, name: str, changes: dict[str, Any]
) -> None:
    recipe, pool = small_recipe(name, **changes), small_pool(tmp_path)
    checkpoint = tmp_path / "checkpoint.safetensors"
    whole = begin(recipe, pool, None)
    losses = train(whole, pool, checkpoint, Silent())
    assert len(losses) == 6

    part = begin(recipe, pool, None)
    with pytest.raises(Interrupted, match=r"stopped after update 2 of 6; --resume goes on from"):
        train(part, pool, checkpoint, Silent(), stopped=lambda: part.step == 2)
    resumed = begin(recipe, pool, None)
    assert restore(resumed, checkpoint)
    assert resumed.step == 2
    torch.rand(3)
    assert train(resumed, pool, checkpoint, Silent()) == losses[2:]
    for key, value in state(whole).items():
        assert torch.equal(value, state(resumed)[key]), key
    finished = begin(recipe, pool, None)
    assert restore(finished, checkpoint)
    assert train(finished, pool, checkpoint, Silent()) == []


def test_the_loss_falls(tmp_path: Path) -> None:
    recipe, pool = small_recipe(steps=40, ramp=0.0), small_pool(tmp_path)
    losses = train(begin(recipe, pool, None), pool, tmp_path / "c.safetensors", Silent())
    assert sum(losses[-8:]) < 0.5 * sum(losses[:8])


def test_training_leaves_the_global_generator_alone(tmp_path: Path) -> None:
    pool = small_pool(tmp_path)
    torch.manual_seed(7)
    expected = torch.rand(4)
    torch.manual_seed(7)
    first = begin(small_recipe(steps=2), pool, None)
    train(first, pool, tmp_path / "c.safetensors", Silent())
    assert torch.equal(torch.rand(4), expected)
    other = begin(small_recipe(steps=2), pool, None)
    train(other, pool, tmp_path / "c.safetensors", Silent())
    assert all(torch.equal(value, state(other)[key]) for key, value in state(first).items())


def test_the_schedule() -> None:
    recipe = small_recipe(steps=100, lr=1.0, warm_up=0.1)
    rates = [learning_rate(recipe, step) for step in range(100)]
    assert rates[0] == pytest.approx(1 / 11)
    assert rates[9] == pytest.approx(10 / 11)
    assert rates[10] == 1.0
    assert rates[55] == pytest.approx(0.5)
    assert rates[99] == pytest.approx(0.5 * (1 + math.cos(math.pi * 89 / 90)))


def test_a_warm_start_copies_the_twin_and_centres_the_head(tmp_path: Path) -> None:
    pool = small_pool(tmp_path)
    twin = begin(small_recipe("n1", steps=30), pool, None)
    train(twin, pool, tmp_path / "c.safetensors", Silent())
    warm = begin(small_recipe("a1"), pool, twin.network)
    for key, value in twin.network.state_dict().items():
        assert torch.equal(value, warm.network.state_dict()[key])
    # The head knows the people already: the nearest weight is the right one for most pictures.
    twin.network.eval()
    with torch.no_grad():
        faces = (pool.faces.flatten(0, 1).float() / 255 - 0.5) / 0.5
        nearest = (twin.network(faces) @ warm.head.weight.T).argmax(1)
    people = torch.arange(8).repeat_interleave(4)
    assert (nearest == people).float().mean() > 0.8


def test_checkpoints_of_another_recipe_or_damaged_are_refused(tmp_path: Path) -> None:
    pool, path = small_pool(tmp_path), tmp_path / "c.safetensors"
    save(begin(small_recipe(lr=1e-3), pool, None), path)
    with pytest.raises(BadInput, match="another recipe; start anew with --no-resume"):
        restore(begin(small_recipe(lr=2e-3), pool, None), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BadInput, match="damaged checkpoint"):
        restore(begin(small_recipe(lr=1e-3), pool, None), path)
    assert not restore(begin(small_recipe(), pool, None), tmp_path / "none.safetensors")


def test_a_loss_that_is_not_finite_is_an_error(tmp_path: Path) -> None:
    pool = small_pool(tmp_path)
    training = begin(small_recipe(), pool, None)
    with torch.no_grad():
        training.head.weight.fill_(float("nan"))
    with pytest.raises(RuntimeError, match="s1: the loss of update 0 is nan"):
        train(training, pool, tmp_path / "c.safetensors", Silent())


Losses = Callable[[str], list[float]]


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> Losses:
    """The first losses of a recipe as it is, by its name."""
    folder = tmp_path_factory.mktemp("unchanged")
    return cache(lambda name: first_losses(folder, small_recipe(name)))


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"architecture": "zoo-repvgg"},
        {"head": "arcface"},
        {"scale": 10.0},
        {"margin": 0.4},
        {"ramp": 0.9},
        {"seed": 99},
        {"optimiser": "sgd"},
        {"lr": 1e-3},
        {"warm_up": 0.9},
        {"weight_decay": 0.5},
        {"clip": 0.01},
        {"images": 8 * 9},
        {"batch": 6},
        {"identities": 5},
        {"shots": 2},
        {"shift": 0},
        {"flip": True},
        {"twin": "n2", "role": "adversarial", "adversarial": {"method": "pgd-at"}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_trap_18_every_setting_changes_the_training(
    tmp_path: Path, change: dict[str, Any], unchanged: Losses
) -> None:
    assert unchanged("s1") != first_losses(tmp_path, small_recipe(**change))


@pytest.mark.parametrize(
    "change",
    [
        {"method": "pgd-at"},
        {"beta": 1.0},
        {"epsilon": 2 / 255},
        {"steps": 1},
        {"step_size": 1 / 255},
        {"method": "pgd-at", "inner": "loss"},
    ],
    ids=lambda change: list(change)[-1],
)
def test_trap_18_every_adversarial_setting_changes_the_training(
    tmp_path: Path, change: dict[str, Any], unchanged: Losses
) -> None:
    recipe = small_recipe("a2")
    assert recipe.adversarial is not None
    other = small_recipe("a2", adversarial=recipe.adversarial.model_dump() | change)
    assert unchanged("a2") != first_losses(tmp_path, other)


def first_losses(folder: Path, recipe: Recipe) -> list[float]:
    pool = small_pool(folder)
    training = begin(recipe, pool, None)
    return train(training, pool, folder / "checkpoint.safetensors", Silent())[:5]
