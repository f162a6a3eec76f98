"""Users of the library never name a model."""

from __future__ import annotations

import torch
from torch import nn

from gauntlet import Attack, adapt, attack
from gauntlet.pipeline.library.attacking import gradient_cosines

IMAGES = torch.linspace(0, 1, 2 * 48).reshape(2, 3, 4, 4)
LABELS = torch.tensor([0, 1])


def net(seed: int) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(48, 64), nn.ReLU(), nn.Linear(64, 4))


def test_two_nets_of_one_class_are_attacked_together() -> None:
    first, second = adapt(net(0)), adapt(net(1))
    found = attack([first, second], IMAGES, LABELS)
    assert torch.equal(found, attack([net(0), net(1)], IMAGES, LABELS))
    assert (first.name, second.name) == ("model", "model")
    assert gradient_cosines([first, second], IMAGES, LABELS).shape == (2, 2, 2)


def test_one_net_twice_draws_twice() -> None:
    model = adapt(net(0))
    recipe = Attack(base="vr", steps=3, options={"vr": {"m": 1, "sigma": 0.3}})
    twice = attack([model, model], IMAGES, LABELS, recipe)
    named = [adapt(net(0), name="model"), adapt(net(0), name="model-2")]
    assert torch.equal(twice, attack(named, IMAGES, LABELS, recipe))
    assert not torch.equal(twice, attack([model], IMAGES, LABELS, recipe))


def test_names_that_are_given_are_kept() -> None:
    models = [adapt(net(0)), adapt(net(1), name="model-2"), adapt(net(2))]
    chosen = Attack(surrogates=("model-3", "model-2"))
    expected = attack([net(2), net(1)], IMAGES, LABELS)
    assert torch.equal(attack(models, IMAGES, LABELS, chosen), expected)
