"""Oracle tests of the relaxed attack (specification 2.1)."""

import math

import pytest
import torch

from gauntlet.pipeline.attacks.loop import run
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.attacks.updates.relaxed import Relaxed
from gauntlet.pipeline.norms import l2
from tests.toys.surrogates import (
    Scalar,
    SmallNet,
    class_batch,
    images,
    linear,
    oracle,
    quadratic,
    run_float,
    scalar_batch,
    steps_of,
    vectors,
)
from tests.toys.updates import EPS, relaxed


def test_o_rel_1_linear_loss_with_p_2():
    clean, slope, c, eta = images(2), 0.01 * vectors(1)[0], 0.7, 0.05
    attack = relaxed(c=c, p=2, eta=eta, steps=30)
    for t, point in enumerate(steps_of(attack, scalar_batch(clean), [linear(slope)]), 1):
        expected = slope / (2 * c) * (1 - (1 - 2 * eta * c) ** t)
        assert torch.allclose(point - clean, expected.expand_as(clean), rtol=0, atol=1e-14)


def test_o_rel_2_fixed_point_with_p_5():
    clean = images(1)
    slope = vectors(1)[0]
    slope = 1e-4 * slope.sign() * (0.5 + slope.abs() / slope.abs().max())
    c = 2.0
    attack = relaxed(c=c, p=5, eta=100.0, steps=300)
    found = steps_of(attack, scalar_batch(clean), [linear(slope)])[-1] - clean
    expected = (slope.abs() / (5 * c)) ** 0.25
    assert torch.allclose(found.abs()[0], expected, rtol=0, atol=5e-14)
    assert torch.equal(found.sign()[0], slope.sign())


def test_o_rel_3_without_penalty_it_is_plain_gradient_ascent():
    # Lemma 1: delta = ((1 + eta l)^m - 1) / l * g, here with H = l identity.
    clean, centre, eta, scale, m = images(2), images(1, seed=9)[0], 0.01, 2.0, 6
    attack = relaxed(c=0, eta=eta, steps=m)
    found = steps_of(attack, scalar_batch(clean), [quadratic(centre, scale)])[-1] - clean
    gradient = scale * (clean - centre)
    assert torch.allclose(found, ((1 + eta * scale) ** m - 1) / scale * gradient, atol=1e-14)


def test_relaxed_stops_on_the_sphere_example_by_example():
    batch, net, tau = class_batch(images(4)), SmallNet(0), 0.5
    attack = Attack(base="relaxed", norm="l2", epsilon_unit="abs", epsilon=tau, steps=120)
    points = [batch.images, *steps_of(attack, batch, [net])]
    sizes = torch.stack([l2(point - batch.images) for point in points])
    assert torch.allclose(sizes[-1], torch.full((4,), tau, dtype=torch.float64), rtol=1e-12)
    arrived = sizes >= tau * (1 - 1e-12)
    assert not arrived[40].any()  # one step adds less than tau/50
    assert (arrived.int().argmax(0) < 120).all()
    for before, after, there in zip(points, points[1:], arrived, strict=False):
        assert (l2(after - before) <= tau / 50 * (1 + 1e-9)).all()
        assert torch.equal(after[there], before[there])
    # A penalty steers: other places on the same sphere.
    steered = attack.model_copy(update={"options": {"relaxed": Relaxed(c=0.5)}})
    other = run_float(Attack.model_validate(steered.model_dump()), batch, [net])
    assert not other.lost
    assert torch.allclose(l2(other.images - batch.images), sizes[-1], rtol=1e-12)
    assert (l2(other.images - points[-1]) > 1e-3 * tau).all()


@pytest.mark.parametrize(("factor", "reached"), [(0.9, True), (1.1, False)])
def test_relaxed_with_too_much_penalty_is_not_reached(factor, reached):
    # On a linear loss with p = 2 the perturbation saturates at |g| / (2c).
    clean, slope, tau = images(3), 0.01 * vectors(1)[0], 0.2
    c = factor * float(slope.norm()) / (2 * tau)
    attack = relaxed(c=c, tau=tau, steps=400)
    result = run_float(attack, scalar_batch(clean), [linear(slope)])
    if reached:
        assert not result.lost
        size = l2(result.images - clean)
        assert torch.allclose(size, torch.full_like(size, tau), rtol=1e-12)
    else:
        assert sorted(result.lost) == [0, 1, 2]
        assert all("not reached" in lost.reason for lost in result.lost.values())
        assert torch.equal(result.images, clean)


def test_relaxed_survives_an_example_without_gradient():
    clean = images(2)

    def flat_on_first(x):
        first = (x - clean[0]).flatten(1).abs().amax(1) < 0.1
        value = (x * 0.01 * vectors(1)[0]).flatten(1).sum(1)
        return torch.where(first, 0 * value, value)

    result = run_float(relaxed(tau=0.2, steps=60), scalar_batch(clean), [Scalar(flat_on_first)])
    assert list(result.lost) == [0]
    assert torch.equal(result.images[0], clean[0])
    assert float(l2(result.images - clean)[1]) == pytest.approx(0.2, rel=1e-12)


def test_relaxed_takes_tau_per_pixel_like_every_l2_budget():
    batch, net = class_batch(images(2)), SmallNet(0)
    attack = Attack(base="relaxed", norm="l2", epsilon="8/255", steps=200)
    size = l2(run_float(attack, batch, [net]).images - batch.images)
    assert torch.allclose(size, torch.full_like(size, 8 / 255 * math.sqrt(192)), rtol=1e-12)


def test_float32_noise_is_neither_a_step_of_pi_nor_a_relaxed_attack_that_fails():
    batch, nets = class_batch(images(4)).to("cpu", torch.float32), [SmallNet(0).float()]
    given = {"steps": 10, "step_size": "eps/10", "epsilon": EPS}
    plain = run_float(Attack(**given), batch, nets).images
    other = run_float(Attack(base="pi", options={"pi": {"beta": 1}}, **given), batch, nets).images
    assert torch.allclose(plain, other, atol=1e-6)
    for epsilon in ("1/255", "16/255"):
        attack = Attack(base="relaxed", norm="l2", epsilon=epsilon, steps=200)
        result = run(attack, batch, oracle(*nets))  # the loop verifies the stored images
        assert not result.lost
        exact = run_float(attack, batch, nets).images - batch.images
        assert torch.allclose(
            l2(exact) / (attack.epsilon * math.sqrt(192)), torch.ones(4), atol=1e-4
        )
