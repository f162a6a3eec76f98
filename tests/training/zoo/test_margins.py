"""The heads against their formulas, in float64."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from gauntlet.pipeline.models.zoo.recipes import HeadName
from gauntlet.pipeline.training.zoo.margins import (
    AngularHead,
    ArcFace,
    CosFace,
    Softmax,
    SphereFace,
    make_head,
)

S = 16.0


def at_angle(head: AngularHead, theta: float, other: float) -> torch.Tensor:
    """Logits of an embedding at ``theta`` from identity 0's weight and ``other`` from 1's."""
    x = torch.tensor([[3.0, 0.0]], dtype=torch.float64)
    directions = [[math.cos(a), math.sin(a)] for a in (theta, other)]
    head.double()
    with torch.no_grad():
        head.weight.copy_(2.5 * torch.tensor(directions, dtype=torch.float64))
    return head.logits(x, torch.tensor([0]))[0].detach()


@pytest.mark.parametrize("theta", [0.0, 0.3, 1.2, 2.0, 2.9, math.pi])
def test_cosface(theta: float) -> None:
    own, other = at_angle(CosFace(2, 2, S, 0.35), theta, 0.7).tolist()
    assert own == pytest.approx(S * (math.cos(theta) - 0.35), abs=1e-12)
    assert other == pytest.approx(S * math.cos(0.7), abs=1e-12)


@pytest.mark.parametrize("theta", [0.01, 0.3, 1.2, 2.0, 2.6])
def test_arcface_below_pi_minus_m(theta: float) -> None:
    own, other = at_angle(ArcFace(2, 2, S, 0.5), theta, 0.7).tolist()
    assert own == pytest.approx(S * math.cos(theta + 0.5), abs=1e-12)
    assert other == pytest.approx(S * math.cos(0.7), abs=1e-12)


def test_arcface_beyond_pi_minus_m_goes_on_falling() -> None:
    own = at_angle(ArcFace(2, 2, S, 0.5), 2.9, 0.7)[0]
    assert float(own) == pytest.approx(S * (-2 - math.cos(3.4)), abs=1e-12)


@pytest.mark.parametrize(
    ("m", "theta", "psi"),
    [
        (2.0, math.pi / 4, 0.0),  # k = 0: cos(pi / 2)
        (2.0, 3 * math.pi / 4, -2.0),  # k = 1: -cos(3 pi / 2) - 2
        (4.0, math.pi / 8, 0.0),
        (4.0, 0.9 * math.pi, math.cos(3.6 * math.pi) * -1 - 6),  # k = 3
        (1.5, 1.0, math.cos(1.5)),
        (1.5, 2.5, -math.cos(3.75) - 2),  # 3.75 > pi: k = 1
    ],
)
def test_sphereface(m: float, theta: float, psi: float) -> None:
    own, other = at_angle(SphereFace(2, 2, S, m), theta, 0.7).tolist()
    assert own == pytest.approx(S * psi, abs=1e-11)
    assert other == pytest.approx(S * math.cos(0.7), abs=1e-12)


@pytest.mark.parametrize("head", [CosFace(2, 2, S, 0.4), ArcFace(2, 2, S, 0.5),
                                  SphereFace(2, 2, S, 1.7)])  # fmt: skip
def test_psi_falls_without_a_jump(head: AngularHead) -> None:
    angles = torch.linspace(0, math.pi, 20001, dtype=torch.float64)
    psi = head.psi(angles.cos(), head.margin)
    steps = psi.diff()
    assert (steps <= 1e-9).all()
    assert steps.abs().max() < 2 * math.pi / 20000


@pytest.mark.parametrize("name", ["cosface", "arcface", "sphereface"])
def test_no_margin_is_the_cosine(name: HeadName) -> None:
    head = make_head(name, 5, 7, scale=S, margin=1.6).double()
    x = torch.randn(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    y = torch.tensor([0, 3, 6, 3])
    cosines = F.normalize(x) @ F.normalize(head.weight).T
    assert torch.allclose(head.logits(x, y, ramp=0.0), S * cosines, atol=1e-10)
    loss = head(x, y, ramp=1.0)
    expected = F.cross_entropy(head.logits(x, y, 1.0), y, reduction="none")
    assert torch.allclose(loss, expected, rtol=1e-12, atol=0)
    assert (loss > head(x, y, ramp=0.0)).all()


def test_softmax_is_linear() -> None:
    head = make_head("softmax", 3, 2, scale=S, margin=0.3).double()
    assert isinstance(head, Softmax)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[1.0, 0, 0], [0, 2, 0]]))
        head.bias.copy_(torch.tensor([0.5, -1.0]))
    logits = head.logits(torch.tensor([[2.0, 3.0, 9.0]], dtype=torch.float64), torch.tensor([1]))
    assert logits.tolist() == [[2.5, 5.0]]
    loss = head(torch.tensor([[2.0, 3.0, 9.0]], dtype=torch.float64), torch.tensor([1]))
    assert float(loss.detach()) == pytest.approx(math.log1p(math.exp(-2.5)), abs=1e-12)


@pytest.mark.parametrize("name", ["cosface", "arcface", "sphereface"])
def test_gradients_are_finite_at_the_ends(name: HeadName) -> None:
    head = make_head(name, 2, 2, scale=S, margin=1.3)
    with torch.no_grad():
        head.weight.copy_(torch.eye(2))
    x = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], requires_grad=True)
    (gradient,) = torch.autograd.grad(head(x, torch.tensor([0, 0])).sum(), x)
    assert torch.isfinite(gradient).all()


def test_centred_weights_point_to_the_means() -> None:
    head = make_head("cosface", 4, 3, scale=S, margin=0.2)
    means = torch.tensor([[0.0, 2, 0, 0], [1, 0, 0, 0], [0, 0, -3, 0]])
    head.centre(means)
    assert torch.allclose(F.normalize(head.weight), F.normalize(means), atol=1e-6)


@pytest.mark.parametrize("name", ["softmax", "cosface"])
def test_the_loss_of_a_sure_embedding_has_an_exact_gradient(name: HeadName) -> None:
    # The inner steps of adversarial training follow its sign.
    found = []
    for dtype in (torch.float32, torch.float64):
        head = make_head(name, 8, 12, scale=64, margin=0.1)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            head.weight.copy_(torch.randn(12, 8, generator=generator))
        head = head.to(dtype)
        points = (3 * head.weight + 0.1).detach().requires_grad_()
        (slope,) = torch.autograd.grad(head(points, torch.arange(12)).sum(), points)
        found.append(slope.double() / slope.double().norm(dim=1, keepdim=True))
    assert float(F.cosine_similarity(*found).min()) > 0.999
