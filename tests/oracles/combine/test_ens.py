"""Oracle tests of Ens and Ens-l2 (specification 2.4)."""

import pytest
import torch
import torch.nn.functional as F

from gauntlet.pipeline.attacks.combine.ens import EnsL2, EnsLoss
from gauntlet.pipeline.attacks.combine.rgea import Rgea
from gauntlet.pipeline.attacks.filters.ti import TranslationInvariance
from gauntlet.pipeline.attacks.messages import Question, Setting
from gauntlet.pipeline.attacks.recipe import Attack
from tests.toys.ensembles import FUSIONS, NETS, direction, gradients_of, rows, unit_rows
from tests.toys.surrogates import (
    Scalar,
    SmallNet,
    class_batch,
    images,
    oracle,
    quadratic,
    recipe,
    run_float,
    scalar_batch,
)


def test_o_1_1_probability_fusion_is_a_weighted_sum_and_logit_fusion_a_shared_cotangent():
    batch = class_batch(images(5))
    assert batch.labels is not None
    single = gradients_of(batch, NETS)
    with torch.no_grad():
        outputs = torch.stack([net(batch.images) for net in NETS])
    right = outputs.softmax(-1).gather(2, batch.labels.expand(3, -1)[..., None])[..., 0]
    weights = right / right.sum(0)
    expected = (weights[:, :, None, None, None] * single).sum(0)
    assert torch.allclose(
        direction("ens-probabilities", batch, NETS).direction, expected, atol=1e-13
    )

    x = batch.images.clone().requires_grad_()
    mean = torch.stack([net(x) for net in NETS]).mean(0)
    F.cross_entropy(mean, batch.labels, reduction="sum").backward()
    assert x.grad is not None
    assert torch.allclose(direction("ens-logits", batch, NETS).direction, x.grad, atol=1e-13)


@pytest.mark.parametrize("combine", FUSIONS)
def test_o_ens_1_copies_of_one_model_give_its_gradient(combine):
    batch = class_batch(images(4))
    copies = [SmallNet(0), SmallNet(0), SmallNet(0)]
    found = direction(combine, batch, copies).direction
    assert torch.allclose(found, gradients_of(batch, copies[:1])[0], atol=1e-13)


@pytest.mark.parametrize("combine", [*FUSIONS, "svre"])
def test_o_ens_2_one_model_is_the_base(combine):
    batch = class_batch(images(4))
    base = "mi"
    options = {"svre": {"inner": 1}} if combine == "svre" else {}
    found = run_float(Attack(base=base, combine=combine, steps=5, options=options), batch, NETS[:1])
    plain = run_float(Attack(base=base, steps=5), batch, NETS[:1])
    assert torch.allclose(found.images, plain.images, atol=1e-12)


def test_o_1_2_ti_commutes_with_uniform_fusion_but_not_with_rgea():
    given = rows(4, 2, 3 * 16 * 16)
    smooth = TranslationInvariance(kernel=7)

    def filtered(flat):
        return smooth.apply(flat.reshape(-1, 3, 16, 16)).reshape(flat.shape)

    for rule, equal in ((EnsLoss(), True), (Rgea(), False)):
        before = filtered(rule.combine(given)[0][None])[0]
        after = rule.combine(filtered(given))[0]
        assert torch.allclose(before, after, atol=1e-13) is equal


def test_fusions_work_with_views_of_several_copies():
    batch = class_batch(images(3))
    assert batch.labels is not None
    x = batch.images.clone().requires_grad_()
    total = torch.tensor(0.0)
    for i in range(3):
        mean = torch.stack([net(x / 2**i) for net in NETS]).mean(0)
        total = total + F.cross_entropy(mean, batch.labels, reduction="sum") / 3
    total.backward()
    found = direction("ens-logits", batch, NETS, base="si", options={"si": {"m": 3}}).direction
    assert x.grad is not None
    assert torch.allclose(found, x.grad, atol=1e-13)


def test_o_ensl2_1_and_rgea_7_one_model_ens_l2_is_rgea():
    batch = class_batch(images(4))
    one, other = (
        run_float(Attack(combine=combine, steps=5), batch, NETS[:1]).images
        for combine in ("ens-l2", "rgea")
    )
    assert torch.allclose(one, other, atol=1e-12)


@pytest.mark.parametrize("combine", ["ens-l2", "rgea", "mgda"])
def test_o_ensl2_2_the_unclipped_step_has_rms_alpha(combine):
    batch = class_batch(images(4))
    attack = Attack(combine=combine, steps=1, epsilon=1, step_size="1/255")
    delta = run_float(attack, batch, NETS).images - batch.images
    rms = delta.square().mean((1, 2, 3)).sqrt()
    assert torch.allclose(rms, torch.full_like(rms, 1 / 255), rtol=1e-9)


def test_ens_l2_of_unit_gradients_is_another_method():
    given = rows(3, 2, 20) * torch.tensor([1.0, 10.0, 0.1])[:, None, None]
    raw, unit = EnsL2().combine(given)[0], EnsL2(unit=True).combine(given)[0]
    assert torch.allclose(raw, given.mean(0))
    assert torch.allclose(unit, unit_rows(given).mean(0))


def test_a_nonlinear_scalar_ensemble_is_answered_per_model():
    clean = images(2)
    nets = [quadratic(images(1, seed=i)[0]) for i in range(3)]
    setting_batch = scalar_batch(clean)
    attack = recipe()
    query = attack.method(setting_batch.goal, 192).query
    setting = Setting(setting_batch, query, 0, "a", 0)
    answers = oracle(*nets).gradients(setting, [Question(i, clean) for i in range(3)])
    for i, answer in enumerate(answers):
        assert torch.allclose(answer.gradient, clean - images(1, seed=i)[0], atol=1e-15)
    assert isinstance(nets[0], Scalar)
