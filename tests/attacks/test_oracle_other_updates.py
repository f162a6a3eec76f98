"""Oracle tests of specification 2.1 (relaxed) and 2.7: steps other than plain ones and momentum."""

import math

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import nn

from gauntlet.pipeline.attacks.loop import run
from gauntlet.pipeline.attacks.part import catalogue
from gauntlet.pipeline.attacks.points.rap import ReversePerturbation
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.attacks.updates.pi import PatchWise
from gauntlet.pipeline.attacks.updates.relaxed import Relaxed
from gauntlet.pipeline.batch import Batch, Goal
from gauntlet.pipeline.norms import l2, linf
from tests.attacks.toys import (
    Scalar,
    SmallNet,
    class_batch,
    images,
    linear,
    names,
    oracle,
    quadratic,
    recipe,
    run_float,
    scalar_batch,
    steps_of,
    vectors,
)

EPS = 16 / 255


def relaxed(**options):
    """Gradient ascent on a linear or quadratic toy, with a sphere that is far away."""
    fields = {"norm": "l2", "epsilon_unit": "abs", "epsilon": options.pop("tau", 1e3)}
    fields["steps"] = options.pop("steps")
    return recipe(base="relaxed", **fields, options={"relaxed": options})


# -- PI ------------------------------------------------------------------------------------------


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


# -- RAP -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", ["i", "mi", "ni", "pi", "di-ti"])
@pytest.mark.parametrize("off", [{"epsilon_n": 0, "late_start": 0}, {"late_start": 4}])
def test_o_rap_1_switched_off_it_is_the_base(base, off):
    batch, nets = class_batch(images(3)), [SmallNet(0), SmallNet(1)]
    given = {"steps": 4, "name": "same draws"}
    plain = run_float(Attack(base=base, **given), batch, nets).images
    other = Attack(base=f"rap-{base}", options={"rap": off}, **given)
    assert torch.equal(plain, run_float(other, batch, nets).images)
    on = Attack(base=f"rap-{base}", options={"rap": {"late_start": 0}}, **given)
    assert not torch.equal(plain, run_float(on, batch, nets).images)


@pytest.mark.parametrize("inner", [1, 3, 8])
def test_o_rap_2_quadratic_without_sign_and_noise_has_the_closed_form(inner):
    # specification 3.5, O-TH-9: delta = V D gamma, D = ((1 + a l (1 - a l)^inner)^m - 1) / l.
    centre, size, alpha, m = images(1), 192, 0.1, 6
    generator = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64))[0]
    eigenvalues = torch.linspace(0.01, 2.0, size, dtype=torch.float64)
    slope = 1e-3 * vectors(1).flatten()

    def loss(x):
        delta = (x - centre).flatten(1)
        rotated = delta @ basis
        return 1 + delta @ slope + 0.5 * (rotated.square() * eigenvalues).sum(1)

    class CrossEntropyIsLoss(nn.Module):
        """Logits [0, log(e^J - 1)]: the cross-entropy of class 0 is J."""

        def __init__(self):
            super().__init__()
            self.anchor = nn.Parameter(torch.zeros(1, dtype=torch.float64))

        def forward(self, x):
            value = loss(x).expm1().log()
            return torch.stack([torch.zeros_like(value), value], 1)

    rap = {"epsilon_n": 1, "inner": inner, "step": alpha, "normalise": "none", "late_start": 0,
           "start_noise": False}  # fmt: skip
    attack = Attack(
        base="rap-relaxed",
        norm="l2",
        epsilon_unit="abs",
        epsilon=1e3,
        steps=m,
        options={"rap": rap, "relaxed": {"eta": alpha}},
    )
    batch = Batch(names(1), centre, Goal.UNTARGETED, labels=torch.zeros(1, dtype=torch.int64))
    found = (steps_of(attack, batch, [CrossEntropyIsLoss()])[-1] - centre).flatten()
    product = alpha * eigenvalues
    factors = ((1 + product * (1 - product) ** inner) ** m - 1) / eigenvalues
    expected = basis @ (factors * (basis.T @ slope))
    assert (found - expected).abs().max() < 1e-12 * expected.abs().max()


def test_rap_asks_where_the_objective_is_lower_and_inside_its_ball():
    batch, net = class_batch(images(3)), SmallNet(3)
    asked = []

    class Watched(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, x):
            asked.append(x.detach())
            return self.net(x)

    options = {"rap": {"epsilon_n": "12/255", "inner": 5, "late_start": 0}}
    run_float(Attack(base="rap", steps=1, options=options), batch, [Watched()])
    assert len(asked) == 6  # five inner steps, one of the attack
    noise, last = asked[0] - batch.images, asked[-1] - batch.images
    for offset in (noise, last):
        assert (linf(offset) <= 12 / 255 + 1e-12).all()
        assert (linf(offset) > 6 / 255).all()
    assert 0.3 < float(noise.abs().mean() / (6 / 255)) < 1.7  # uniform: mean |n| = epsilon_n / 2
    loss = [F.cross_entropy(net(x), batch.labels, reduction="none") for x in (asked[0], asked[-1])]
    assert (loss[1] < loss[0]).all()


def test_rap_lowers_the_plain_objective_whatever_the_attack_raises():
    # Official: the inner objective is the cross-entropy even if the outer one is the logit.
    batch, net = class_batch(images(3)), SmallNet(3)
    given = {"base": "rap", "steps": 1, "options": {"rap": {"late_start": 0, "start_noise": False}}}
    moved = []
    for objective in (None, "logit", "margin"):
        seen = []

        def record(x, seen=seen):
            seen.append(x.detach())
            return net(x)

        watched = Scalar(lambda x: x.flatten(1).sum(1))
        watched.forward = record
        run_float(Attack(objective=objective, **given), batch, [watched])
        moved.append(seen[-1])
    assert torch.equal(moved[0], moved[1])
    assert torch.equal(moved[0], moved[2])


def test_rap_starts_after_a_quarter_of_the_updates_by_default():
    batch, calls = scalar_batch(images(1)), []

    def objective(x):
        calls.append(1)
        return (x * vectors(1)[0]).flatten(1).sum(1)

    run_float(recipe(base="rap", steps=8), batch, [Scalar(objective)])
    assert len(calls) == 2 + 6 * 9


# -- relaxed -------------------------------------------------------------------------------------


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
        attack = Attack(base="relaxed", norm="l2", epsilon=epsilon, steps=400)
        result = run(attack, batch, oracle(*nets))  # the loop verifies the stored images
        assert not result.lost
        exact = run_float(attack, batch, nets).images - batch.images
        assert torch.allclose(
            l2(exact) / (attack.epsilon * math.sqrt(192)), torch.ones(4), atol=1e-4
        )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"base": "relaxed"}, "relaxed stops on an l2 sphere"),
        ({"base": "relaxed", "norm": "l2", "step_size": 0.1}, "does not read step_size"),
        ({"base": "relaxed", "norm": "l2", "normalise": "l2"}, "does not read normalise"),
        ({"base": "pgd-relaxed", "norm": "l2"}, "starts at the clean image"),
        ({"base": "relaxed", "norm": "l2", "options": {"relaxed": {"p": 1}}}, "greater than 1"),
        ({"base": "relaxed", "norm": "l2", "options": {"relaxed": {"c": -1}}}, "greater than or"),
        ({"base": "relaxed", "norm": "l2", "options": {"relaxed": {"eta": 0}}}, "greater than 0"),
        ({"base": "pi-mi"}, "more than one update rule"),
        ({"base": "pi", "options": {"pi": {"kernel": 4}}}, "must be odd, got 4"),
        ({"base": "pi", "options": {"pi": {"gamma": "-1/255"}}}, "greater than or equal to 0"),
        ({"base": "pi", "options": {"pi": {"beta": 0}}}, "greater than 0"),
        ({"base": "rap", "options": {"rap": {"epsilon_n": -1}}}, "greater than or equal to 0"),
        ({"base": "rap", "options": {"rap": {"normalise": "l2"}}}, "'sign' or 'none'"),
        ({"base": "rap", "options": {"rap": {"step": 0}}}, "greater than 0"),
        ({"base": "mi", "options": {"rap": {"inner": 2}}}, "options for 'rap'"),
    ],
)
def test_wrong_settings_are_refused_by_name(fields, message):
    with pytest.raises(ValidationError, match=message):
        Attack(**fields)


# -- all -----------------------------------------------------------------------------------------

FAMILY = [
    Attack(base="pi", steps=5, epsilon=EPS, step_size="eps/10"),
    Attack(base="rap-mi", steps=4, options={"rap": {"inner": 3, "late_start": 1}}),
    Attack(base="rap-di-pi", steps=4, options={"rap": {"inner": 2, "late_start": 0}}),
    Attack(base="rap", combine="rgea", steps=3, options={"rap": {"inner": 2, "late_start": 0}}),
    Attack(base="relaxed", norm="l2", epsilon=EPS, steps=70, options={"relaxed": {"c": 0.3}}),
]


@pytest.mark.parametrize("given", FAMILY, ids=lambda attack: attack.base)
def test_o_0_1_a_batch_equals_its_single_examples(given):
    batch, nets = class_batch(images(4)), [SmallNet(0), SmallNet(1)]
    together = run_float(given, batch, nets)
    for row in range(4):
        alone = run_float(given, batch.rows(torch.tensor([row])), nets)
        assert torch.allclose(together.images[row], alone.images[0], atol=1e-12)
        assert (row in together.lost) == bool(alone.lost)


@pytest.mark.parametrize("given", FAMILY, ids=lambda attack: attack.base)
def test_every_step_is_inside_and_raises_the_loss(given):
    batch, net = class_batch(images(4)), SmallNet(0)
    ball = given.method(batch.goal, 192).ball
    before = F.cross_entropy(net(batch.images), batch.labels, reduction="none")
    points = steps_of(given, batch, [net])
    for point in points:
        assert torch.allclose(ball.project(point, batch.images), point, atol=1e-14)
    after = F.cross_entropy(net(points[-1]), batch.labels, reduction="none")
    assert (after > before).all()


def test_trap_18_every_option_of_these_updates_changes_something():
    others = {
        PatchWise: {"beta": 4, "gamma": "2/255", "kernel": 5, "feedback": False},
        ReversePerturbation: {
            "epsilon_n": "4/255", "inner": 3, "step": "5/255", "normalise": "none",
            "late_start": 2, "start_noise": False,
        },
        Relaxed: {"c": 0.4, "p": 3, "eta": 0.003},
    }  # fmt: skip
    context = {"p": {"c": 0.4}}
    batch, net = class_batch(images(3)), SmallNet(0)
    assert set(others) <= set(catalogue())
    for part, values in others.items():
        assert set(values) == set(part.model_fields), part
        given = {"base": part.token, "steps": 4, "epsilon": EPS}
        if part is Relaxed:
            given |= {"norm": "l2", "steps": 10}
        for field, value in values.items():
            same = context.get(field, {})
            found = [
                steps_of(Attack(**given, options={part.token: options}), batch, [net])[-1]
                for options in (same, {**same, field: value})
            ]
            assert not torch.equal(*found), f"{part.token}.{field} changes nothing"
