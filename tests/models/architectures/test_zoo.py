from __future__ import annotations

import pytest
import torch
from torch import fx

from gauntlet.pipeline.batch import Task
from gauntlet.pipeline.models.architectures import ARCHITECTURES
from gauntlet.pipeline.models.architectures.zoo import FAMILIES
from gauntlet.pipeline.models.zoo.recipes import RECIPES


@pytest.mark.parametrize("name", FAMILIES)
def test_builds_is_traceable_small_and_embeds(name: str) -> None:
    architecture = ARCHITECTURES[name]
    assert architecture.task is Task.VERIFICATION
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = architecture.constructor().eval()
        images = torch.rand(3, 3, *architecture.input_size) * 2 - 1
    size = sum(value.numel() for value in network.parameters())
    assert 80_000 < size < 400_000
    with torch.no_grad():
        embeddings = network(images)
        traced = fx.symbolic_trace(network)
        assert embeddings.shape == (3, 128)
        assert torch.isfinite(embeddings).all()
        assert torch.equal(traced(images), embeddings)
        # Each row on its own, and a batch of any size.
        assert torch.allclose(traced(images[1:2]), embeddings[1:2], atol=1e-5)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_parameter_has_a_gradient(name: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = ARCHITECTURES[name].constructor().train()
        images = torch.randn(4, 3, 48, 48)
    # A gain of zero (nfnet) hides its branch until the first update.
    for key, value in network.named_parameters():
        if key.endswith("skip_gain"):
            torch.nn.init.ones_(value)
    torch.autograd.backward(network(images).square().sum() + network(images)[:, 0].sum())
    idle = [key for key, value in network.named_parameters() if value.grad is None]
    assert not idle


def test_surrogates_and_targets_share_no_architecture() -> None:
    def used(*roles: str) -> list[str]:
        return [recipe.architecture for recipe in RECIPES.values() if recipe.role in roles]

    assert len(used("surrogate")) == 5
    assert len(used("target")) == 10
    assert len(used("adversarial")) == 7
    assert len(set(used("surrogate", "target"))) == 15
    assert not set(used("surrogate")) & set(used("target", "adversarial"))


def test_adversarial_networks_follow_their_twins() -> None:
    names = list(RECIPES)
    for recipe in RECIPES.values():
        if recipe.twin is not None:
            twin = RECIPES[recipe.twin]
            assert twin.architecture == recipe.architecture
            assert twin.role == "target"
            assert names.index(recipe.twin) < names.index(recipe.name)
