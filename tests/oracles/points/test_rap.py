"""Oracle tests of RAP (specification 2.7)."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Batch, Goal
from gauntlet.pipeline.norms import linf
from tests.toys.surrogates import (
    Scalar,
    SmallNet,
    class_batch,
    images,
    names,
    recipe,
    run_float,
    scalar_batch,
    steps_of,
    vectors,
)


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


def watched(net: nn.Module, asked: list[Tensor]) -> nn.Module:
    """Return a network whose copies all note in `asked` what they are asked."""

    class Watched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: Tensor) -> Tensor:
            asked.append(x.detach())
            return self.net(x)

    return Watched()


def test_rap_asks_where_the_objective_is_lower_and_inside_its_ball():
    batch, net = class_batch(images(3)), SmallNet(3)
    asked: list[Tensor] = []
    options = {"rap": {"epsilon_n": "12/255", "inner": 5, "late_start": 0}}
    run_float(Attack(base="rap", steps=1, options=options), batch, [watched(net, asked)])
    assert len(asked) == 6  # five inner steps, one of the attack
    noise, last = asked[0] - batch.images, asked[-1] - batch.images
    for offset in (noise, last):
        assert (linf(offset) <= 12 / 255 + 1e-12).all()
        assert (linf(offset) > 6 / 255).all()
    assert 0.3 < float(noise.abs().mean() / (6 / 255)) < 1.7  # uniform: mean |n| = epsilon_n / 2
    assert batch.labels is not None
    loss = [F.cross_entropy(net(x), batch.labels, reduction="none") for x in (asked[0], asked[-1])]
    assert (loss[1] < loss[0]).all()


def test_rap_lowers_the_plain_objective_whatever_the_attack_raises():
    # Official: the inner objective is the cross-entropy even if the outer one is the logit.
    batch, net = class_batch(images(3)), SmallNet(3)
    given: dict[str, Any] = {
        "base": "rap",
        "steps": 1,
        "options": {"rap": {"late_start": 0, "start_noise": False}},
    }
    moved = []
    for objective in (None, "logit", "margin"):
        asked: list[Tensor] = []
        run_float(Attack(objective=objective, **given), batch, [watched(net, asked)])
        moved.append(asked[-1])
    assert torch.equal(moved[0], moved[1])
    assert torch.equal(moved[0], moved[2])


def test_rap_starts_after_a_quarter_of_the_updates_by_default():
    batch, calls = scalar_batch(images(1)), []

    def objective(x):
        calls.append(1)
        return (x * vectors(1)[0]).flatten(1).sum(1)

    run_float(recipe(base="rap", steps=8), batch, [Scalar(objective)])
    assert len(calls) == 2 + 6 * 9
