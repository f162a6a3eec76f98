"""Derivatives of the cross-entropy where a network is sure, against 60 digits."""

from decimal import Decimal, getcontext

import pytest
import torch
import torch.nn.functional as F

from gauntlet.pipeline.cross_entropy import cross_entropy, log_softmax

GAPS = [0, 5, 17, 40, 60, 80, -17, -60]
"""Logit of the class minus the greatest of the others: sure and right, or sure and wrong."""


def sure(gap: float, seed: int) -> tuple[torch.Tensor, int]:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(10, generator=generator)
    own = seed % 10
    others = torch.cat([logits[:own], logits[own + 1 :]])
    logits[own] = others.max() + gap
    return logits, own


def to_60_digits(logits, own, move) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradient of the cross-entropy and its Hessian times ``move``, to the last float64 digit."""
    getcontext().prec = 60
    h, v = ([Decimal(float(entry)) for entry in one] for one in (logits, move))
    raised = [(entry - max(h)).exp() for entry in h]
    p = [entry / sum(raised) for entry in raised]
    slope = [float(share - (j == own)) for j, share in enumerate(p)]
    mean = sum(share * entry for share, entry in zip(p, v, strict=True))
    bent = [float(share * (entry - mean)) for share, entry in zip(p, v, strict=True)]
    return torch.tensor(slope, dtype=torch.float64), torch.tensor(bent, dtype=torch.float64)


def derivatives(logits, own, move, dtype):
    leaf = logits.to(dtype)[None].requires_grad_()
    value = cross_entropy(leaf, torch.tensor([own]))
    (slope,) = torch.autograd.grad(value.sum(), leaf, create_graph=True)
    (bent,) = torch.autograd.grad((slope[0] * move.to(dtype)).sum(), leaf)
    return slope.detach()[0].double(), bent[0].double()


@pytest.mark.parametrize("gap", GAPS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_o_0_3_both_derivatives_keep_their_digits_where_a_network_is_sure(gap, dtype):
    for seed in range(4):
        logits, own = sure(gap, seed)
        move = torch.randn(10, generator=torch.Generator().manual_seed(seed))
        exact = to_60_digits(logits, own, move)
        for ours, theirs in zip(derivatives(logits, own, move, dtype), exact, strict=True):
            # Cosine and length at once; the numbers may be too small to be squared.
            assert float((ours - theirs).abs().max() / theirs.abs().max()) < 2e-5


def test_the_value_and_its_derivatives_are_those_of_the_cross_entropy():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 5, generator=generator, dtype=torch.float64).requires_grad_()
    classes = torch.tensor([0, 1, 2, 3, 4, 0])
    theirs = F.cross_entropy(logits, classes, reduction="none")
    torch.testing.assert_close(cross_entropy(logits, classes), theirs)
    torch.testing.assert_close(log_softmax(logits), logits.log_softmax(-1))
    assert torch.autograd.gradcheck(cross_entropy, (logits, classes))
    assert torch.autograd.gradgradcheck(cross_entropy, (logits, classes))


def gradient(logits, classes):
    leaf = logits.clone().requires_grad_()
    values = cross_entropy(leaf, classes)
    return values.detach(), torch.autograd.grad(values.sum(), leaf)[0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_one_class_barred_classes_ties_and_a_huge_logit_have_a_gradient(dtype):
    inf = float("inf")
    alone = gradient(torch.tensor([[3.0]], dtype=dtype), torch.tensor([0]))
    assert [entry.tolist() for entry in alone] == [[0.0], [[0.0]]]
    barred = torch.tensor([[1.0, 2.0, -inf]], dtype=dtype)
    value, slope = gradient(barred, torch.tensor([0]))
    without, shorter = gradient(barred[:, :2], torch.tensor([0]))
    assert torch.equal(value, without)
    assert torch.equal(slope, torch.cat([shorter, torch.zeros(1, 1, dtype=dtype)], 1))
    _, tie = gradient(torch.tensor([[1.0, 1.0, 1.0, 1.0]], dtype=dtype), torch.tensor([1]))
    assert tie.tolist() == [[0.25, -0.75, 0.25, 0.25]]
    huge = torch.finfo(dtype).max / 2
    for own, expected in ((0, [0.0, 0.0]), (1, [1.0, -1.0])):
        value, slope = gradient(torch.tensor([[huge, 0.0]], dtype=dtype), torch.tensor([own]))
        assert slope.tolist() == [expected]
        assert torch.isfinite(value).all()


def test_half_precision_logits_are_worked_on_in_float32():
    logits, own = sure(12, 3)
    half, wide = logits.half(), logits.half().float()
    classes = torch.tensor([own])
    assert torch.equal(gradient(half[None], classes)[0], gradient(wide[None], classes)[0])
    assert gradient(half[None], classes)[0] > 0  # exp(-12) is below what float16 adds to 1


@pytest.mark.parametrize("row", [[float("inf"), 0.0], [float("nan"), 0.0], [-float("inf")] * 2])
def test_infinity_is_no_answer_and_stays_in_its_row(row):
    logits = torch.tensor([[1.0, 2.0], row])
    values, slope = gradient(logits, torch.tensor([0, 0]))
    assert values[1].isnan()
    assert torch.isfinite(values[0])
    assert torch.isfinite(slope[0]).all()


def test_a_row_does_not_depend_on_its_batch():
    logits = 9 * torch.randn(40, 1000, generator=torch.Generator().manual_seed(1))
    classes = torch.arange(40)
    together = gradient(logits, classes)
    for some in (slice(0, 1), slice(3, 10)):
        alone = gradient(logits[some], classes[some])
        assert all(torch.equal(a, b[some]) for a, b in zip(alone, together, strict=True))
