"""Oracle tests of VR with IR (specification 2.8)."""

import pytest
import torch

from gauntlet import Attack
from tests.toys.penalties import answer, moved
from tests.toys.surrogates import (
    SmallNet,
    class_batch,
    images,
    run_float,
)


class Noisy:
    """VR+IR written out with `ir-mean` over all cells, which draws nothing."""

    def __init__(self, sigma, m, noise, weight):
        self.batch, self.net = class_batch(images(2)), SmallNet(0)
        self.points = moved(self.batch.images)
        options = {
            "vr": {"sigma": sigma, "m": m},
            "ir-mean": {"grid": 4, "lambda_mean": weight, "noise": noise},
        }
        self.attack = Attack(base="vr+ir-mean", options=options, name="x")

    def ask(self, attack, **fields):
        return answer(attack, self.batch, self.net, self.points, **fields)

    def other(self, base, **options):
        return self.ask(Attack(base=base, options=options, name="x"))


def test_o_vrir_1_without_noise_both_forms_are_ir():
    for noise, m, factor in (("noisy", 3, 1), ("clean-sum", 1, 1), ("clean-sum", 3, 3)):
        case = Noisy(0, m, noise, 50.0)
        plain = case.other("ir-mean", **{"ir-mean": {"grid": 4, "lambda_mean": 50.0 / factor}})
        for rows in (2, 5, 256):
            found = case.ask(case.attack, rows_per_pass=rows)
            assert torch.allclose(found.gradient, factor * plain.gradient, atol=1e-12)
            assert torch.allclose(found.values, factor * plain.values, atol=1e-12)


def test_the_official_form_adds_noise_to_the_objective_only():
    case = Noisy(0.1, 3, "clean-sum", 50.0)
    reduced = case.other("ir-mean", **{"ir-mean": {"grid": 4, "lambda_mean": 50.0}})
    smooth = case.other("vr", vr={"sigma": 0.1, "m": 3})
    expected = 3 * smooth.gradient + reduced.gradient - case.other("i").gradient
    for rows in (2, 5, 256):
        found = case.ask(case.attack, rows_per_pass=rows)
        assert torch.allclose(found.gradient, expected, atol=1e-12)
    noisy = Noisy(0.1, 3, "noisy", 50.0)
    assert not torch.allclose(noisy.ask(noisy.attack).gradient, expected / 3, atol=1e-3)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_o_sn_1_sign_noise_has_equal_sizes_and_no_mean(norm):
    clean = torch.full((3, 3, 64, 64), 0.5, dtype=torch.float64)
    batch, net = class_batch(clean), SmallNet(0)
    given = Attack(
        base="pgd", options={"pgd": {"start": "sign"}}, steps=0, epsilon="16/255", norm=norm
    )
    delta = (run_float(given, batch, [net]).images - clean) * 255 / 16
    assert torch.allclose(delta.abs(), torch.ones_like(delta), atol=1e-12)
    assert (delta.mean((1, 2, 3)).abs() < 4 / delta[0].numel() ** 0.5).all()
    assert not torch.equal(delta[0], delta[1])
    ball = Attack(base="pgd", steps=0, epsilon="16/255", norm=norm)
    assert not torch.equal(run_float(ball, batch, [net]).images, clean + delta * 16 / 255)
