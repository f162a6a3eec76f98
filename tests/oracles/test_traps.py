"""The traps of other libraries that an attack engine can have, by their numbers."""

import random

import numpy as np
import pytest
import torch
from torch import nn

from gauntlet import Attack, attack
from gauntlet.pipeline.attacks.ask import Lost
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

COMBINES = ["ens", "ens-l2", "ens-logits", "ens-probabilities", "svre", "mgda", "rgea"]


def every_attack():
    bases = ["pgd", "mi", "ni", "di-ti-mi", "si-di", "vr"]
    small = {"vr": {"m": 3}, "si": {"m": 2}, "ti": {"kernel": 3}}
    for base in bases:
        options = {k: v for k, v in small.items() if k in base.split("-")}
        for combine in COMBINES if base == "di-ti-mi" else ["ens", "rgea"]:
            yield Attack(base=base, combine=combine, steps=4, options=options)
    yield Attack(base="pgd", norm="l2", steps=4)
    yield Attack(combine="torchjd/upgrad", steps=3)


@pytest.mark.parametrize("base", ["i", "mi", "ni", "ti-mi"])
@pytest.mark.parametrize("combine", ["ens", "ens-l2", "rgea", "mgda", "svre"])
def test_trap_01_a_zero_gradient_is_no_nan_and_freezes_nobody_else(base, combine):
    batch = class_batch(images(4))

    class SaturatedOnFirst(nn.Module):
        """Example 0 has logits so large that its cross-entropy has no gradient at all."""

        def __init__(self, seed):
            super().__init__()
            self.net = SmallNet(seed)

        def forward(self, x):
            first = (x - batch.images[0]).flatten(1).abs().amax(1) < 0.2
            certain = torch.zeros(len(x), 4, dtype=x.dtype)
            certain[:, 0] = 1e30
            return torch.where(
                first[:, None], certain + 0 * x.flatten(1).sum(1)[:, None], self.net(x)
            )

    nets = [SaturatedOnFirst(0), SaturatedOnFirst(1)]
    result = run_float(Attack(base=base, combine=combine, steps=3), batch, nets)
    assert torch.isfinite(result.images).all()
    assert torch.equal(result.images[0], batch.images[0])
    assert not result.lost
    alone = run_float(
        Attack(base=base, combine=combine, steps=3), batch.rows(torch.tensor([1, 2, 3])), nets
    )
    assert torch.allclose(result.images[1:], alone.images, atol=1e-12)
    assert ((result.images[1:] - batch.images[1:]).abs().amax((1, 2, 3)) > 1e-3).all()


def test_trap_01_one_zero_step_does_not_stop_the_momentum_for_good():
    clean = images(2)
    calls = []

    def flat_at_first(x):
        calls.append(1)
        return (x * vectors(1)[0]).flatten(1).sum(1) * (0.0 if len(calls) == 1 else 1.0)

    moved = run_float(recipe(base="mi", steps=3), scalar_batch(clean), [Scalar(flat_at_first)])
    assert ((moved.images - clean).abs().amax((1, 2, 3)) > 1e-3).all()


@pytest.mark.parametrize("combine", COMBINES)
def test_trap_01_a_non_finite_answer_loses_that_example_only(combine):
    batch = class_batch(images(4))

    class Overflows(nn.Module):
        def __init__(self, seed):
            super().__init__()
            self.net = SmallNet(seed)

        def forward(self, x):
            second = (x - batch.images[1]).flatten(1).abs().amax(1) < 0.2
            factor = torch.ones(len(x), 1, dtype=x.dtype).masked_fill(second[:, None], torch.inf)
            return self.net(x) * factor

    result = run_float(Attack(combine=combine, steps=3), batch, [Overflows(0), SmallNet(1)])
    assert set(result.lost) == {1}
    assert isinstance(result.lost[1], Lost)
    assert result.lost[1].example == "example-1"
    assert torch.equal(result.images[1], batch.images[1])
    others = torch.tensor([0, 2, 3])
    alone = run_float(
        Attack(combine=combine, steps=3), batch.rows(others), [SmallNet(0), SmallNet(1)]
    )
    assert torch.allclose(result.images[others], alone.images, atol=1e-12)


@pytest.mark.parametrize("given", every_attack(), ids=lambda a: a.label)
def test_trap_02_and_o_0_1_a_batch_is_its_examples_one_by_one(given):
    batch, nets = class_batch(images(5, shape=(3, 12, 12))), [SmallNet(0), SmallNet(1)]
    together = run_float(given, batch, nets).images
    for rows in ([0], [3, 1], [4, 2]):
        index = torch.tensor(rows)
        alone = run_float(given, batch.rows(index), nets).images
        # The same numbers in another batch shape differ in the last bits only (trap 3).
        assert torch.allclose(together[index], alone, atol=1e-9), rows


def test_trap_03_float32_is_compared_by_success_not_by_pixel():
    nets = [SmallNet(0).float(), SmallNet(1).float()]
    batch = class_batch(images(12)).to("cpu", torch.float32)
    given = Attack(base="mi", steps=10, epsilon="16/255")
    whole = run_float(given, batch, nets).images
    parts = torch.cat(
        [run_float(given, batch.rows(torch.arange(i, i + 3)), nets).images for i in (0, 3, 6, 9)]
    )
    fooled = [net(x).argmax(1) != batch.labels for net in nets for x in (whole, parts)]
    assert (fooled[0] == fooled[1]).float().mean() > 0.9
    assert (fooled[2] == fooled[3]).float().mean() > 0.9


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_trap_04_stored_images_are_8_bit_and_inside_the_ball(norm):
    clean = images(6).float()
    labels = torch.arange(6) % 4
    given = Attack(base="pgd", norm=norm, epsilon="8/255", steps=5)
    nets = [SmallNet(0).float()]
    found = attack(nets, clean, labels, given)
    levels = found.double() * 255
    assert torch.allclose(levels, levels.round(), atol=1e-4)
    delta = levels.round() - (clean.double() * 255).round()
    size = delta.abs().amax((1, 2, 3)) if norm == "linf" else delta.square().mean((1, 2, 3)).sqrt()
    assert (size <= 8 + 1e-6).all()
    assert (size > 2).all()


@pytest.mark.parametrize("epsilon", [0.00392, 0.00784, 0.03137, 0.05882, "0.3/255", "2.5/255"])
@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("on_grid", [True, False])
def test_trap_04_any_budget_holds_on_and_off_the_8_bit_grid(epsilon, norm, on_grid):
    clean = images(3) if on_grid else images(3) + 0.4 * vectors(3).tanh() / 255
    labels = torch.zeros(3, dtype=torch.int64)
    # The engine raises `BudgetViolation` on a result outside its ball.
    given = Attack(norm=norm, epsilon=epsilon, steps=3, step_size="eps")
    assert not torch.equal(attack([SmallNet(0)], clean, labels, given, quantize=False), clean)
    levels = attack([SmallNet(0)], clean, labels, given) * 255
    assert torch.allclose(levels, levels.round(), atol=1e-9)


@pytest.mark.parametrize("objective", ["cross-entropy", "logit", "margin", "fi"])
@pytest.mark.parametrize("wrong", [4, -1, -100])
def test_a_class_that_the_model_lacks_is_named(objective, wrong):
    labels = torch.tensor([0, wrong, 1])
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 4)).double()
    options = {"fi": {"layer": "0"}} if objective == "fi" else {}
    with pytest.raises(ValueError, match=f"example '1' has class {wrong}; model 'model-0' has 4"):
        attack([net], images(3), labels, Attack(objective=objective, options=options))


def test_outputs_of_different_size_are_not_fused():
    nets = [SmallNet(0), SmallNet(1, classes=5)]
    given = (images(2), torch.zeros(2, dtype=torch.int64))
    with pytest.raises(ValueError, match="'model-0' has 4, 'model-1' has 5"):
        attack(nets, *given, Attack(combine="ens-logits"))
    attack(nets, *given, Attack(combine="ens"))


def test_references_are_images_in_the_same_units():
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 4)).double()
    for wrong, error, message in (
        (images(2) * 255, ValueError, r"references must be in \[0, 1\]"),
        (images(2)[:, :1], TypeError, "references must be floating point images"),
        ((images(2) * 255).to(torch.uint8), TypeError, "references must be floating point images"),
    ):
        with pytest.raises(error, match=message):
            attack([net], images(2), wrong, goal="impersonation")


def test_trap_07_momentum_sums_gradients_not_signs():
    # Gradients (3, -1), (-1, -1): their sum has another sign pattern than the sum of their signs.
    clean = torch.full((1, 3, 1, 2), 0.5, dtype=torch.float64)
    slopes = [torch.tensor([3.0, -1.0]), torch.tensor([-1.5, -1.5])]
    calls = []

    def objective(x):
        calls.append(1)
        return (x * slopes[min(len(calls), 2) - 1]).flatten(1).sum(1)

    found = run_float(
        recipe(base="mi", steps=2, step_size=1e-3), scalar_batch(clean), [Scalar(objective)]
    )
    moved = (found.images - clean)[0, 0, 0] / 1e-3
    # m_2 = (3/2 - 1, -1/2 - 1): the first pixel goes up twice; over signs it would stand still.
    assert torch.allclose(moved, torch.tensor([2.0, -2.0], dtype=torch.float64))


@pytest.mark.parametrize(
    "given",
    [
        {"base": "vr-mi+ir", "options": {"ir": {"grid": 4}}, "combine": "svre"},
        {"base": "pi-rap-ghost", "options": {"ghost": {"p": 0.1}}},
        {"base": "mi", "options": {"mi": {"norm": "l1"}}, "combine": "rgea"},
        {"base": "ir-closed"},
        {"base": "i", "objective": "fi", "options": {"fi": {"layer": "0"}}},
        {"base": "i", "objective": "il", "options": {"il": {"layer": "0"}}},
    ],
    ids=lambda given: "-".join(map(str, list(given.values())[:1])) + str(given.get("objective")),
)
def test_an_empty_batch_comes_back_empty(given):
    nobody = class_batch(images(2)).rows(torch.tensor([], dtype=torch.int64))
    done = run_float(Attack(steps=3, **given), nobody, [SmallNet(0)])
    assert len(done.images) == 0
    assert done.trace.values.shape == (3, 0, 1)
    assert not done.lost


@pytest.mark.parametrize("combine", ["ens", "svre", "ens-logits"])
def test_trap_13_models_are_left_as_they_were(combine):
    nets = [SmallNet(0), SmallNet(1)]
    nets[0].train()
    nets[1].eval()
    nets[0].last.grad = torch.ones_like(nets[0].last)
    before = [{k: v.clone() for k, v in net.state_dict().items()} for net in nets]
    attack(nets, images(3), torch.zeros(3, dtype=torch.int64), Attack(combine=combine, steps=2))
    assert nets[0].training
    assert not nets[1].training
    assert torch.equal(nets[0].last.grad, torch.ones_like(nets[0].last))
    assert nets[1].last.grad is None
    for net, old in zip(nets, before, strict=True):
        assert all(torch.equal(value, old[key]) for key, value in net.state_dict().items())
        assert all(parameter.requires_grad for parameter in net.parameters())


def test_trap_13_a_model_in_train_mode_is_attacked_in_eval_mode():
    train, evaluated = SmallNet(0), SmallNet(0)
    train.train()
    evaluated.eval()
    given = (images(3), torch.zeros(3, dtype=torch.int64))
    assert torch.equal(attack([train], *given), attack([evaluated], *given))


def numpy_state() -> np.ndarray:
    return np.random.get_state(legacy=False)["state"]["key"]


@pytest.mark.parametrize("given", every_attack(), ids=lambda a: a.label)
def test_trap_15_no_global_generator_is_read_or_moved(given):
    batch, nets = class_batch(images(2)), [SmallNet(0), SmallNet(1)]
    found = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        before = torch.get_rng_state(), numpy_state().copy(), random.getstate()
        found.append(run_float(given, batch, nets).images)
        assert torch.equal(before[0], torch.get_rng_state())
        assert (before[1] == numpy_state()).all()
        assert before[2] == random.getstate()
    assert torch.equal(*found)


def test_seeds_matter_where_something_is_drawn():
    batch, nets = class_batch(images(2)), [SmallNet(0), SmallNet(1)]
    for base, combine in (("pgd", "ens"), ("di", "ens"), ("vr", "rgea"), ("i", "svre")):
        given = Attack(base=base, combine=combine, steps=2)
        a, b = (run_float(given, batch, nets, seed=seed).images for seed in (0, 1))
        assert not torch.equal(a, b), (base, combine)


def test_a_copy_with_another_base_is_another_attack():
    given = Attack(base="mi", epsilon="8/255")
    assert {part.token for part in given.parts} == {"mi", "ens"}
    changed = given.model_copy(update={"base": "di", "epsilon": 4 / 255})
    assert {part.token for part in changed.parts} == {"di", "ens", "i"}
    assert changed.alpha == pytest.approx(given.alpha / 2)
    assert changed.label != given.label
