"""What these updates share."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError

from gauntlet.pipeline.attacks.part import Part, catalogue
from gauntlet.pipeline.attacks.points.rap import ReversePerturbation
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.attacks.updates.pi import PatchWise
from gauntlet.pipeline.attacks.updates.relaxed import Relaxed
from tests.toys.surrogates import SmallNet, class_batch, images, run_float, steps_of
from tests.toys.updates import EPS


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
    assert batch.labels is not None
    ball = given.method(batch.goal, 192).ball
    before = F.cross_entropy(net(batch.images), batch.labels, reduction="none")
    points = steps_of(given, batch, [net])
    for point in points:
        assert torch.allclose(ball.project(point, batch.images), point, atol=1e-14)
    after = F.cross_entropy(net(points[-1]), batch.labels, reduction="none")
    assert (after > before).all()


def test_trap_18_every_option_of_these_updates_changes_something():
    others: dict[type[Part], dict[str, Any]] = {
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
