"""Oracle tests of PI (specification 2.7)."""

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError

from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.attacks.updates.pi import PatchWise
from tests.toys.surrogates import (
    Scalar,
    SmallNet,
    class_batch,
    images,
    recipe,
    run_float,
    scalar_batch,
    vectors,
)
from tests.toys.updates import EPS


def test_o_pi_1_without_amplification_it_is_ifgsm():
    batch, net = class_batch(images(4)), SmallNet(0)
    given = {"steps": 10, "step_size": "eps/10", "epsilon": EPS}
    plain = run_float(Attack(**given), batch, [net]).images
    other = run_float(Attack(base="pi", options={"pi": {"beta": 1}}, **given), batch, [net]).images
    assert torch.equal(plain, other)


@pytest.mark.parametrize("beta", [2.0, 10.0])
def test_o_pi_2_without_projected_steps_it_is_ifgsm_with_a_larger_step(beta):
    batch, net = class_batch(images(4)), SmallNet(1)
    given = {"steps": 6, "epsilon": EPS}
    plain = run_float(Attack(step_size=beta * EPS / 10, **given), batch, [net]).images
    options = {"pi": {"beta": beta, "gamma": 0}}
    other = Attack(base="pi", step_size=EPS / 10, options=options, **given)
    assert torch.equal(plain, run_float(other, batch, [net]).images)


@pytest.mark.parametrize("kernel", [3, 5])
def test_o_pi_3_the_kernel_is_a_mean_of_the_neighbours(kernel):
    part = PatchWise(kernel=kernel)
    weights = part.weights()
    assert float(weights.sum()) == pytest.approx(1, abs=1e-15)
    assert weights[kernel // 2, kernel // 2] == 0
    assert weights.flatten().unique().tolist() == [0, 1 / (kernel**2 - 1)]
    # Zero padding, channel by channel: one bright pixel in a corner.
    values = torch.zeros(1, 3, 8, 8, dtype=torch.float64)
    values[0, 1, 0, 0] = 1.0
    reach = kernel // 2 + 1
    expected = torch.zeros_like(values)
    expected[0, 1, :reach, :reach] = 1 / (kernel**2 - 1)
    expected[0, 1, 0, 0] = 0
    assert torch.allclose(part.spread(values), expected, atol=1e-16)


@pytest.mark.parametrize("feedback", [True, False])
def test_pi_follows_its_equations(feedback):
    clean, beta, gamma, alpha = images(2), 10.0, 3 / 255, EPS / 10
    slopes = [vectors(1, seed=seed)[0] for seed in range(4)]
    calls = []

    def objective(x):
        calls.append(1)
        return (x * slopes[len(calls) - 1]).flatten(1).sum(1)

    options = {"pi": {"beta": beta, "gamma": gamma, "feedback": feedback}}
    attack = recipe(base="pi", epsilon=EPS, steps=4, step_size=alpha, options=options)
    found = run_float(attack, scalar_batch(clean), [Scalar(objective)]).images
    x, a = clean, torch.zeros_like(clean)
    for slope in slopes:
        step = beta * alpha * slope.sign().expand_as(clean)
        a = a + step
        padded = F.pad((a.abs() - EPS).clamp_min(0) * a.sign(), (1, 1, 1, 1))
        shifted = [
            padded[:, :, i : i + 8, j : j + 8]
            for i in range(3)
            for j in range(3)
            if (i, j) != (1, 1)
        ]
        total = torch.stack(shifted).sum(0) / 8
        p = gamma * torch.where(total.abs() < 1e-9, 0, total.sign())
        if feedback:
            a = a + p
        moved = x + step + p
        x = moved.clamp(clean - EPS, clean + EPS).clamp(0, 1)
    assert torch.allclose(found, x, atol=1e-15)
    assert len(calls) == 4


@pytest.mark.parametrize(
    "fields", [{"norm": "l2"}, {"normalise": "l2rms"}, {"combine": "rgea"}, {"normalise": "mabs"}]
)
def test_pi_refuses_other_balls_and_steps(fields):
    with pytest.raises(ValidationError, match="pi accumulates sign steps"):
        Attack(base="pi", **fields)
    assert Attack(base="pi", combine="rgea", normalise="sign").base == "pi"
