"""The inner maximum of adversarial training."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gauntlet.pipeline.attacks.ball import Ball
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.norms import l2, linf
from gauntlet.pipeline.training.ascent import ascend
from gauntlet.pipeline.training.robustness import entropy
from tests.toys.classifiers import colours, model


def draws(size: int) -> Draws:
    return Draws.keyed(0, [f"image-{row}" for row in range(size)])


@pytest.mark.parametrize("ball", [Ball("linf", 4 / 255), Ball("l2", 0.3)])
def test_it_stays_in_the_ball_and_raises_the_loss_of_every_image(ball: Ball) -> None:
    net = model()
    clean, labels = colours()
    start = ascend(entropy(net, labels), clean, ball, 0, None, draws(240))
    hard = ascend(entropy(net, labels), clean, ball, 5, None, draws(240))
    size = linf if ball.norm == "linf" else l2
    assert float(size(hard - clean).max()) <= ball.epsilon * (1 + 1e-5)
    assert 0 <= float(hard.min()) <= float(hard.max()) <= 1
    with torch.no_grad():
        before, after = (entropy(net, labels)(points) for points in (start, hard))
    assert bool((after > before).all())
    # Each image has its own draw and its own norm, whatever travels with it.
    some = torch.tensor([7, 3])
    again = ascend(entropy(net, labels[some]), clean[some], ball, 5, None, draws(240).rows(some))
    torch.testing.assert_close(again, hard[some], rtol=0, atol=1e-6)


def test_a_linear_objective_ends_in_the_corner_of_ball_and_box() -> None:
    """linf steps that add up to two radii or more reach it, in closed form."""
    clean = torch.tensor([0.5, 0.98, 0.02], dtype=torch.float64)
    clean = clean.reshape(1, 3, 1, 1).expand(2, 3, 4, 4).clone()
    slope = torch.tensor([1.0, 1.0, -1.0]).reshape(3, 1, 1)
    ball = Ball("linf", 0.1)
    hard = ascend(lambda x: (x * slope).sum((1, 2, 3)), clean, ball, 4, 0.06, draws(2))
    expected = torch.tensor([0.6, 1.0, 0.0], dtype=torch.float64).reshape(1, 3, 1, 1)
    torch.testing.assert_close(hard, expected.expand(2, 3, 4, 4), rtol=0, atol=1e-12)


def test_the_start_is_random_in_the_ball_and_keyed_by_image() -> None:
    def start(images: Tensor, streams: Draws) -> Tensor:
        ball = Ball("linf", 0.1)
        return ascend(lambda x: x.sum((1, 2, 3)), images, ball, 1, 1e-9, streams) - images

    images = torch.full((3, 3, 6, 6), 0.5)
    found = start(images, draws(3))
    assert found.abs().max() <= 0.1 + 1e-6
    assert found.std() == pytest.approx(0.1 / 3**0.5, rel=0.2)
    assert torch.equal(start(images[1:2], draws(3).rows(torch.tensor([1])))[0], found[1])
