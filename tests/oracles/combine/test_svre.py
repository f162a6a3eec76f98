"""Oracle tests of SVRE (specification 2.4)."""

import pytest
import torch
import torch.nn.functional as F

from gauntlet import Batch, Goal
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.draws import Draws
from tests.toys.ensembles import NETS, direction, gradients_of
from tests.toys.surrogates import (
    class_batch,
    images,
    linear,
    names,
    recipe,
    run_float,
    scalar_batch,
    vectors,
)


def test_o_svre_1_one_inner_step_is_ens_mi():
    batch = class_batch(images(5))
    attack = {"base": "mi", "steps": 6}
    found = run_float(
        Attack(combine="svre", options={"svre": {"inner": 1}}, **attack), batch, NETS
    ).images
    assert torch.allclose(found, run_float(Attack(**attack), batch, NETS).images, atol=1e-12)


def test_o_svre_2_linear_losses_do_not_depend_on_the_draws():
    batch = scalar_batch(images(4))
    nets = [linear(v) for v in vectors(3)]
    attack = recipe(base="mi", combine="svre", steps=5)
    ens = run_float(recipe(base="mi", steps=5), batch, nets).images
    for seed in (0, 1):
        assert torch.equal(run_float(attack, batch, nets, seed=seed).images, ens)


def test_o_svre_3_the_estimator_is_unbiased_with_loss_fusion():
    # 24 copies of one image draw their own surrogates; y_1 is the same for all of them, since
    # q_0 = g_ens at y_0 = x. Without momentum the direction is q_1, whose mean over r is asked.
    copies = images(1).expand(24, -1, -1, -1)
    labels = torch.zeros(24, dtype=torch.int64)
    batch = Batch(names(24), copies, Goal.UNTARGETED, labels=labels)
    options = {"svre": {"inner": 2, "momentum": 0, "normalised": False, "beta": "2/255"}}
    attack = Attack(combine="svre", options=options)
    found = direction("svre", batch, NETS, options=options).direction
    draws = Draws.keyed(0, batch.ids, attack=attack.label, step=0, model="rule/svre")
    chosen = draws.integers("surrogate", 0, 3, (2,))[:, 1]
    assert set(chosen.tolist()) == {0, 1, 2}
    mean = sum(found[chosen == r][0] for r in range(3)) / 3
    point = (copies + 2 / 255 * gradients_of(batch, NETS).mean(0).sign())[:1]
    there = Batch(names(1), point, Goal.UNTARGETED, labels=labels[:1])
    assert torch.allclose(mean, gradients_of(there, NETS).mean(0)[0], atol=1e-13)
    biased = {"svre": {**options["svre"], "fusion": "logits", "biased": True}}
    other = direction("svre", batch, NETS, options=biased).direction
    assert not torch.allclose(sum(other[chosen == r][0] for r in range(3)) / 3, mean, atol=1e-3)


def test_o_svre_4_with_one_model_the_inner_steps_follow_its_own_gradient():
    batch, net = class_batch(images(3)), NETS[0]
    options = {"svre": {"inner": 4, "momentum": 0.5, "beta": "1/255", "normalised": False}}
    found = direction("svre", batch, [net], options=options).direction
    point, memory = batch.images, torch.zeros_like(batch.images)
    for _ in range(4):
        there = Batch(batch.ids, point, batch.goal, labels=batch.labels)
        memory = 0.5 * memory + gradients_of(there, [net])[0]
        point = (point + memory.sign() / 255).clamp(batch.images - 8 / 255, batch.images + 8 / 255)
    assert torch.allclose(found, memory, atol=1e-12)


def test_svre_inner_loop_matches_the_algorithm_written_out():
    batch = class_batch(images(3))
    assert batch.labels is not None
    inner, mu2, beta = 5, 0.9, 1 / 255
    options = {"svre": {"inner": inner, "momentum": mu2, "beta": "1/255"}}
    attack = Attack(combine="svre", options=options)
    found = direction("svre", batch, NETS, options=options).direction

    chosen = Draws.keyed(0, batch.ids, attack=attack.label, step=0, model="rule/svre").integers(
        "surrogate", 0, 3, (inner,)
    )
    for row in range(3):
        x, y = batch.images[row : row + 1], batch.labels[row : row + 1]

        def grad(r, at, y=y):
            at = at.clone().requires_grad_()
            F.cross_entropy(NETS[r](at), y).backward()
            return at.grad

        ens = sum(grad(r, x) for r in range(3)) / 3
        point, memory = x, torch.zeros_like(x)
        for m in range(inner):
            r = int(chosen[row, m])
            q = grad(r, point) - grad(r, x) + ens
            memory = mu2 * memory + q / q.abs().mean()
            point = (point + beta * memory.sign()).clamp(x - 8 / 255, x + 8 / 255).clamp(0, 1)
        expected = memory / memory.abs().mean()
        assert torch.allclose(found[row : row + 1], expected, atol=1e-11)


def test_trap_08_svre_deviations_are_flags_with_an_effect():
    batch = class_batch(images(4, shape=(3, 16, 16)))
    variants = [
        {},
        {"normalised": False},
        {"momentum": 0},
        {"inner": 3},
        {"beta": "2/255"},
        {"fusion": "logits", "biased": True},
        {"draws": "pair"},
        {"draws": "separate"},
    ]
    found = [
        run_float(
            Attack(
                base="di-mi", combine="svre", steps=3, options={"svre": variant, "di": {"p": 1}}
            ),
            batch,
            NETS,
        ).images
        for variant in variants
    ]
    for i, one in enumerate(found):
        assert all(not torch.equal(one, other) for other in found[:i]), variants[i]
    with pytest.raises(ValueError, match="biased"):
        Attack(combine="svre", options={"svre": {"fusion": "logits"}})
