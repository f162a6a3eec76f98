"""Oracle tests of ILA (specification 2.6)."""

import pytest
import torch
from pydantic import ValidationError

from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Batch, Goal
from tests.oracles.objectives.test_fi import Nonlinear
from tests.toys.features import (
    LinearFeatures,
    Net,
    answer,
    attacked,
    cosine,
    targeted,
    with_options,
)
from tests.toys.surrogates import class_batch, images, vectors


def test_o_ila_1_linear_features_go_on_where_the_base_led():
    net, batch = LinearFeatures(), class_batch(images(3))
    base = attacked(Attack(steps=4, epsilon="8/255"), batch, net).images
    expected = ((base - batch.images).flatten(1) @ net.middle.weight.T) @ net.middle.weight
    attack = with_options("il", layer="middle", steps=4, attack={"steps": 10, "step_size": 1e-3})
    guided = Batch(batch.ids, batch.images, batch.goal, labels=batch.labels, guide=base)
    for points in (batch.images, batch.images + 0.02 * vectors(3)):
        found = answer(attack, guided, net, points).gradient.flatten(1)
        assert torch.allclose(found, expected, atol=1e-13)
    found = attacked(attack, batch, net).images
    steps = batch.images + 10e-3 * expected.sign().reshape(batch.images.shape)
    assert torch.allclose(found, steps, atol=1e-14)


@pytest.mark.parametrize("form", ["projection", "flexible"])
def test_o_ila_2_without_a_base_perturbation_nothing_moves(form):
    batch = class_batch(images(3))
    attack = with_options("il", layer="features", steps=0, form=form, attack={"base": "mi"})
    found = attacked(attack, batch, Net())
    assert torch.equal(found.images, batch.images)
    assert not found.lost


def test_il_flexible_is_the_angle_and_the_length_of_each_example():
    net, batch = Net(), class_batch(images(3))
    guide = batch.images + 0.02 * vectors(3, seed=6)
    guided = Batch(batch.ids, batch.images, batch.goal, labels=batch.labels, guide=guide)
    points = batch.images + 0.02 * vectors(3)
    clean, there, here = (net.features(x - 0.5).flatten(1) for x in (batch.images, guide, points))
    attack = with_options("il", layer="features", form="flexible", coefficient=5)
    found = answer(attack, guided, net, points).values
    for row in range(3):
        moved, reference = here[row] - clean[row], there[row] - clean[row]
        expected = moved @ reference / (moved.norm() * reference.norm())
        expected = expected + 5 * moved.norm() / reference.norm()
        assert float(found[row]) == pytest.approx(expected.item(), abs=1e-13)
    # At the clean image, where the angle is 0/0, the first step is the projection's.
    first = answer(attack, guided, net, batch.images)
    plain = answer(with_options("il", layer="features"), guided, net, batch.images)
    assert torch.allclose(
        cosine(first.gradient, plain.gradient), torch.ones(3).double(), atol=1e-14
    )


def test_il_refuses_a_base_that_does_not_exist():
    with pytest.raises(ValidationError, match=r"base attack of il: .*did you mean 'di'"):
        with_options("il", base="dii")
    with pytest.raises(ValidationError, match=r"base attack of il: relaxed stops on an l2"):
        with_options("il", base="relaxed")


def test_a_base_attack_without_a_budget_has_the_attack_s_step_size():
    given = {"epsilon": 0, "step_size": "1/255", "steps": 2}
    attack = with_options("il", attack=given, layer="features")
    assert attack.guide(attack.objective_for(Goal.TARGETED).guide()).alpha == 1 / 255
    clean = images(2)
    assert torch.equal(attacked(attack, targeted(clean), Nonlinear()).images, clean)
