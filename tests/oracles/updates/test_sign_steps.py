"""Oracle tests of specification 0.3, 2.1 and 2.2: balls, steps, momentum."""

import pytest
import torch

from gauntlet import Batch, Goal
from gauntlet.pipeline.attacks.ball import Ball
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.norms import l2, linf
from tests.toys.surrogates import (
    SmallNet,
    class_batch,
    images,
    linear,
    names,
    quadratic,
    recipe,
    run_float,
    scalar_batch,
    steps_of,
    vectors,
)

EPS = 8 / 255


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_o_0_3_projection_is_idempotent_and_inside(norm):
    clean = images(4)
    ball = Ball(norm, EPS if norm == "linf" else 0.5)
    far = clean + vectors(4)
    once = ball.project(far, clean)
    assert torch.allclose(ball.project(once, clean), once, atol=1e-15)
    size = linf(once - clean) if norm == "linf" else l2(once - clean)
    assert (size <= ball.epsilon * (1 + 1e-12)).all()
    assert once.min() >= 0
    assert once.max() <= 1


def test_o_0_3_an_unmoved_pixel_is_no_nan_in_the_l2_ball():
    clean = images(2)
    moved = clean.clone()
    moved[:, 0] += 1.0
    assert torch.isfinite(Ball("l2", 0.1).project(moved, clean)).all()


def test_o_0_4_rounding_stays_in_the_ball_where_truncation_leaves_it():
    values = torch.arange(256).double() / 255
    clean = values.reshape(1, 1, 16, 16).expand(1, 3, 16, 16)
    moved = (clean.float() - torch.tensor(8 / 255)).clamp(0, 1)
    rounded = Ball("linf", 8 / 255).quantize(moved, clean.float())
    assert float((rounded - clean).abs().max() * 255) == pytest.approx(8, abs=1e-3)
    truncated = (moved * 255).floor() / 255
    outside = (((truncated.double() - clean) * 255).abs() > 8.5)[0, 0].sum()
    assert int(outside) == 15  # specification 0.3: 15 of 256 levels
    # To nearest, not down: 0.6 and 0.4 of a level above a level.
    for part, level in ((0.6, 1), (0.4, 0), (-0.6, -1)):
        found = Ball("linf", 8 / 255).quantize(images(2) + part / 255, images(2)) - images(2)
        assert torch.allclose(found * 255, torch.full_like(found, level))


@pytest.mark.parametrize("scale", [1e-3, 1.0])
def test_o_ifgsm_1_linear_objective(scale):
    clean, weights = images(3), vectors(1)[0] * scale
    attack = recipe(epsilon="8/255", steps=7, step_size="1/255")
    found = run_float(attack, scalar_batch(clean), [linear(weights)]).images
    expected = (clean + min(7 / 255, EPS) * weights.sign()).clamp(0, 1)
    assert torch.allclose(found, expected, atol=1e-15)


def test_o_ifgsm_2_every_step_is_inside():
    batch = class_batch(images(4))
    for point in steps_of(Attack(steps=12, step_size="3/255"), batch, [SmallNet(0)]):
        assert (linf(point - batch.images) <= EPS * (1 + 1e-12)).all()


@pytest.mark.parametrize(("norm", "start"), [("linf", "ball"), ("l2", "ball"), ("l2", "box")])
def test_o_pgd_1_start_is_inside_and_zero_steps_return_it(norm, start):
    batch = scalar_batch(images(4))
    options = {"pgd": {"start": start}}
    attack = recipe(base="pgd", norm=norm, steps=0, epsilon=EPS, options=options)
    found = run_float(attack, batch, [linear(vectors(1)[0])]).images
    ball = attack.method(batch.goal, batch.images[0].numel()).ball
    draws = Draws.keyed(0, batch.ids, attack=attack.label, step=-1)
    assert torch.equal(found, ball.random_point(batch.images, draws, start))
    assert torch.allclose(ball.project(found, batch.images), found, atol=1e-15)
    assert (found != batch.images).any(dim=(1, 2, 3)).all()


def test_o_pgd2_1_linear_objective():
    clean, weights = images(3), vectors(1)[0]
    attack = recipe(
        norm="l2", epsilon=0.5, epsilon_unit="abs", steps=3, step_size=0.1, normalise="l2"
    )
    found = run_float(attack, scalar_batch(clean), [linear(weights)]).images
    expected = clean + 0.3 * weights / weights.norm()
    assert torch.allclose(found, expected, atol=1e-14)


@pytest.mark.parametrize("base", ["mi", "ni"])
def test_o_mi_1_and_ni_1_no_decay_is_ifgsm(base):
    batch, net = class_batch(images(4)), SmallNet(1)
    plain = run_float(Attack(steps=6), batch, [net]).images
    other = run_float(Attack(base=base, steps=6, options={base: {"mu": 0}}), batch, [net]).images
    assert torch.equal(plain, other)


def test_o_mi_2_momentum_ignores_the_scale_of_the_objective():
    clean = images(3)
    batch, centre = scalar_batch(clean), images(1, seed=9)[0]
    attack = recipe(base="mi", steps=6)
    found = [run_float(attack, batch, [quadratic(centre, s)]).images for s in (1.0, 1e4, 1e-9)]
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_o_ni_2_linear_objective_gives_mi():
    batch, net = scalar_batch(images(3)), linear(vectors(1)[0])
    attacks = [recipe(base=base, steps=6) for base in ("mi", "ni")]
    found = [run_float(attack, batch, [net]).images for attack in attacks]
    assert torch.equal(*found)


def test_ni_really_looks_ahead():
    # With l1-normalised momentum the look-ahead vanishes (specification 2.2); ours must not.
    batch = class_batch(images(8))
    net = SmallNet(2)
    found = {b: run_float(Attack(base=b, steps=10), batch, [net]).images for b in ("mi", "ni")}
    assert not torch.equal(found["mi"], found["ni"])


@pytest.mark.parametrize("normalise", ["l2rms", "l2", "mabs", "linf"])
def test_first_step_has_length_alpha_in_its_own_norm(normalise):
    clean = images(3)
    attack = recipe(normalise=normalise, steps=1, step_size=1e-3, epsilon=1)
    delta = run_float(attack, scalar_batch(clean), [linear(vectors(1)[0])]).images - clean
    size = {
        "l2rms": delta.square().mean((1, 2, 3)).sqrt(),
        "l2": l2(delta),
        "mabs": delta.abs().mean((1, 2, 3)),
        "linf": linf(delta),
    }[normalise]
    assert torch.allclose(size, torch.full_like(size, 1e-3), rtol=1e-9)


def test_o_0_2_the_cosine_has_the_direction_of_the_mean_square_of_unit_embeddings():
    from gauntlet.pipeline.attacks.objectives.outputs import Cosine

    size = 16
    outputs = vectors(5, shape=(size,)).requires_grad_()
    known = torch.nn.functional.normalize(vectors(5, seed=4, shape=(size,)), dim=1)
    cosine = Cosine().of_outputs(outputs, {"reference": known}, Goal.IMPERSONATION)
    (ours,) = torch.autograd.grad(cosine.sum(), outputs)
    unit = torch.nn.functional.normalize(outputs, dim=1)
    (theirs,) = torch.autograd.grad(-(unit - known).square().mean(1).sum(), outputs)
    assert torch.allclose(theirs, ours * 2 / size, atol=1e-15)
    away = Cosine().of_outputs(outputs, {"reference": known}, Goal.DODGING)
    (away,) = torch.autograd.grad(away.sum(), outputs)
    assert torch.equal(away, -ours)


def test_dodging_from_the_image_itself_needs_a_random_start():
    # specification 0.2: cos = 1 is a maximum, so the gradient is zero and the plain attack stays.
    class Embedding(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weights = torch.nn.Parameter(vectors(5, seed=3))

        def forward(self, x):
            return torch.einsum("bchw,dchw->bd", x, self.weights)

    from gauntlet import adapt
    from gauntlet.pipeline.attacks.messages import Question, Setting
    from gauntlet.pipeline.batch import Task
    from gauntlet.pipeline.oracle import InProcessOracle

    clean = images(2)
    batch = Batch(names(2), clean, Goal.DODGING, references=clean)
    oracle = InProcessOracle([adapt(Embedding(), task=Task.VERIFICATION)])
    attack = Attack(base="pgd", steps=0, step_size=1)
    method = attack.method(batch.goal, clean[0].numel())
    setting = Setting(batch, method.query, 0, attack.label, 0)
    start = method.ball.random_point(clean, Draws.keyed(0, batch.ids, attack=attack.label, step=-1))
    size = [
        l2(oracle.gradients(setting, [Question(0, points)])[0].gradient)
        for points in (clean, start)
    ]
    assert (size[0] < 1e-12 * size[1]).all()
