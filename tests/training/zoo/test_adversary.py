from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from gauntlet.pipeline.attacks.ball import Ball
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.models.zoo.recipes import Adversarial, Recipe
from gauntlet.pipeline.training.ascent import ascend
from gauntlet.pipeline.training.zoo.adversary import adversarial_loss, distance
from gauntlet.pipeline.training.zoo.margins import CosFace


def draws(size: int) -> Draws:
    return Draws.keyed(0, [str(row) for row in range(size)])


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.conv = nn.Conv2d(3, 6, 3, stride=2)
        self.norm = nn.BatchNorm2d(6)

    def forward(self, images: Tensor) -> Tensor:
        return self.norm(self.conv(images)).tanh().mean((2, 3))


@pytest.mark.parametrize(
    "settings",
    [
        Adversarial(method="pgd-at", steps=3, step_size=4 / 255),
        Adversarial(method="pgd-at", inner="loss", steps=3, step_size=4 / 255),
        Adversarial(method="trades", steps=3, step_size=4 / 255, beta=2.5),
    ],
    ids=["distance", "loss", "trades"],
)
def test_outer_losses_are_their_formulas(settings: Adversarial) -> None:
    network = Net().train()
    head = CosFace(6, 3, 8.0, 0.2)
    images, identities = torch.rand(5, 3, 8, 8), torch.tensor([0, 1, 2, 0, 1])
    before = {key: value.clone() for key, value in network.state_dict().items()}
    network.eval()
    with torch.no_grad():
        clean = network(images)

    def raised(points: Tensor) -> Tensor:
        answers = network(points)
        if settings.inner == "loss":
            return head(answers, identities)
        return distance(answers, clean)

    ball = Ball("linf", settings.epsilon)
    hard = ascend(raised, images, ball, settings.steps, settings.step_size, draws(5))
    with torch.no_grad():
        assert (raised(hard) > raised(images)).all()
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    network.train()
    if settings.method == "pgd-at":
        expected = head(network(hard), identities)
    else:
        both = network(torch.cat((images, hard)))
        expected = head(both[:5], identities) + 2.5 * distance(both[5:], both[:5])
    fresh = Net().train()
    fresh.load_state_dict(before)
    found = adversarial_loss(settings, fresh, fresh, head, images, identities, 1.0, draws(5))
    assert torch.allclose(found, expected, atol=1e-6)
    assert fresh.training
    # One batch through batch norm, and nothing of the inner steps.
    assert fresh.norm.num_batches_tracked == 1


def test_settings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValidationError, match="inner must say so"):
        Adversarial(method="trades", inner="loss")
    with pytest.raises(ValidationError, match="go together"):
        Recipe(name="x", role="adversarial", architecture="zoo-vgg", seed=1)
    with pytest.raises(ValidationError, match="go together"):
        Recipe(name="x", role="target", architecture="zoo-vgg", seed=1, twin="n1")
