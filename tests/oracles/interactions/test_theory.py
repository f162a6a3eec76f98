"""Oracle tests O-TH-5 to O-TH-13 of specification 3.5: what attacks do on a quadratic loss.

The loss is g . delta + delta^T H delta / 2 with H = V diag(lambda) V^T and gamma = V^T g. The
statements are about delta^T H delta with its self terms (specification 3.2).
"""

import math

import pytest
import torch

from gauntlet.pipeline.interactions import curvature, sum_interaction
from tests.toys.games import QuadraticGame, ReluNet, normal, symmetric, uniform

CASES, SIZE = 2000, 8


def problems(seed, kind, cases=CASES):
    """Random (gamma, lambda) in eigencoordinates, (cases, 8) each."""
    root = normal(seed, cases, SIZE, SIZE)
    H = root @ root.mT / SIZE if kind == "psd" else symmetric(seed, cases, SIZE)
    eigenvalues, V = torch.linalg.eigh(H)
    gamma = (V.mT @ normal(seed + 1, cases, SIZE)[..., None])[..., 0]
    return gamma, eigenvalues


def strength(eigenvalues, beta):
    """D of Corollary 1: (exp(beta lambda) - 1) / lambda, beta at zero."""
    safe = eigenvalues.where(eigenvalues != 0, torch.ones((), dtype=torch.float64))
    return torch.where(eigenvalues == 0, beta, torch.expm1(beta * eigenvalues) / safe)


def form(delta, eigenvalues):
    """delta^T H delta in eigencoordinates, (cases,)."""
    return (eigenvalues * delta.square()).sum(1)


def gradient_ascent(g, H, alpha, steps):
    delta = torch.zeros_like(g)
    for _ in range(steps):
        delta = delta + alpha * (g + H @ delta)
    return delta


def never_larger(small, large):
    return small <= large + 1e-9 * (1 + large.abs())


def test_o_th_5_closed_form_of_the_multi_step_attack():
    alpha, steps = 0.3, 12
    H = symmetric(1, 10)
    eigenvalues, V = torch.linalg.eigh(H)
    eigenvalues[4] = 0  # the limit: D = alpha m
    H = V @ torch.diag(eigenvalues) @ V.T
    g = normal(2, 10)
    growth = 1 + alpha * eigenvalues
    safe = eigenvalues.where(eigenvalues != 0, torch.ones((), dtype=torch.float64))

    def closed(power):
        D = ((growth**power - 1) / safe).where(
            eigenvalues != 0, torch.tensor(alpha * power, dtype=torch.float64)
        )
        return V @ (D * (V.T @ g))

    delta = gradient_ascent(g, H, alpha, steps)
    assert torch.allclose(delta, closed(steps), rtol=0, atol=1e-11)
    # The main text prints the exponent m - 1.
    assert (delta - closed(steps - 1)).abs().max() > 50


def test_o_th_6_the_limit_of_infinitely_many_steps():
    beta = 2.0
    eigenvalues = torch.linspace(-1, 1.5, 11, dtype=torch.float64)
    eigenvalues = eigenvalues[eigenvalues.abs() > 1e-9]
    limit = strength(eigenvalues, torch.tensor(beta, dtype=torch.float64))
    errors = []
    for steps in (40, 400, 4000):
        D = ((1 + beta / steps * eigenvalues) ** steps - 1) / eigenvalues
        errors.append((D - limit).abs().max().item())
    assert errors[0] / errors[1] == pytest.approx(10, rel=0.1)
    assert errors[1] / errors[2] == pytest.approx(10, rel=0.02)
    assert errors[2] < 0.02


@pytest.mark.parametrize("kind", ["psd", "indefinite"])
@pytest.mark.parametrize("fair", ["same strength", "same norm"])
def test_o_th_7_multi_step_attacks_have_larger_interactions(kind, fair):
    gamma, eigenvalues = problems(71, kind)
    beta = torch.tensor(1.3, dtype=torch.float64)
    multi = strength(eigenvalues, beta) * gamma
    single = beta * gamma
    if fair == "same norm":
        single = gamma * (multi.norm(dim=1) / gamma.norm(dim=1))[:, None]
    assert never_larger(form(single, eigenvalues), form(multi, eigenvalues)).all()
    assert (form(single, eigenvalues) < form(multi, eigenvalues)).all()


def test_o_th_7_needs_the_self_terms():
    root = normal(72, CASES, SIZE, SIZE)
    H = root @ root.mT / SIZE
    g = normal(73, CASES, SIZE)
    eigenvalues, V = torch.linalg.eigh(H)
    D = strength(eigenvalues, torch.tensor(0.2, dtype=torch.float64))
    multi = (V @ (D * (V.mT @ g[..., None])[..., 0])[..., None])[..., 0]
    sums = [sum_interaction(QuadraticGame(g, H, delta)).value for delta in (0.2 * g, multi)]
    # Eq. 12 leaves the self terms out, and then the theorem can fail.
    violations = int((sums[0] > sums[1]).sum())
    assert 0 < violations < CASES // 10


@pytest.mark.parametrize("kind", ["psd", "indefinite"])
def test_o_th_8_running_mean_momentum_lowers_interactions(kind):
    gamma, eigenvalues = problems(81, kind)
    alpha, steps = 0.1, 10
    multi, delta, mean = (torch.zeros_like(gamma) for _ in range(3))
    for t in range(1, steps + 1):
        multi = multi + alpha * (gamma + eigenvalues * multi)
        mean = ((t - 1) * mean + gamma + eigenvalues * delta) / t
        delta = delta + alpha * mean
    assert never_larger(form(delta, eigenvalues), form(multi, eigenvalues)).all()
    assert (form(delta, eigenvalues) != form(multi, eigenvalues)).all()


def test_o_th_8_holds_for_a_decaying_average_too():
    gamma, eigenvalues = problems(82, "psd")
    alpha, steps, mu = 0.1, 10, 0.9
    multi, delta, mean = (torch.zeros_like(gamma) for _ in range(3))
    for _ in range(steps):
        multi = multi + alpha * (gamma + eigenvalues * multi)
        mean = mu * mean + (1 - mu) * (gamma + eigenvalues * delta)
        delta = delta + alpha * mean
    assert (form(delta, eigenvalues) < form(multi, eigenvalues)).all()


def rap(g, H, alpha, steps, inner):
    """The RAP attack without clip and sign (interaction paper, Eqs. 239 and 240)."""
    delta = torch.zeros_like(g)
    for _ in range(steps):
        lower = torch.zeros_like(g)
        for _ in range(inner):
            lower = lower - alpha * (g + H @ (delta + lower))
        delta = delta + alpha * (g + H @ (delta + lower))
    return delta


def test_o_th_9_closed_form_of_rap():
    alpha, steps, inner = 0.1, 12, 5
    H, g = symmetric(91, 10), normal(92, 10)
    eigenvalues, V = torch.linalg.eigh(H)
    shrink = (1 - alpha * eigenvalues) ** inner
    D = ((1 + alpha * eigenvalues * shrink) ** steps - 1) / eigenvalues
    delta = rap(g, H, alpha, steps, inner)
    assert torch.allclose(delta, V @ (D * (V.T @ g)), rtol=0, atol=1e-11)
    # As Lemma 20 states it, with the inner factor outside the power.
    misprinted = ((1 + alpha * eigenvalues) ** steps - 1) / eigenvalues * shrink
    assert (delta - V @ (misprinted * (V.T @ g))).abs().max() > 0.01


def test_o_th_9_rap_lowers_interactions():
    gamma, eigenvalues = problems(93, "psd")
    beta, inner = torch.tensor(1.0, dtype=torch.float64), 0.7
    weak = strength(eigenvalues, beta * (-inner * eigenvalues).exp())
    multi = strength(eigenvalues, beta)
    # D of RAP is (exp(beta lambda exp(-beta_r lambda)) - 1) / lambda (Eq. 262).
    assert never_larger(form(weak * gamma, eigenvalues), form(multi * gamma, eigenvalues)).all()


@pytest.mark.parametrize("kind", ["psd", "indefinite"])
def test_o_th_10_the_intermediate_level_attack_lowers_interactions(kind):
    gamma, eigenvalues = problems(101, kind)
    strong, weak = (
        strength(eigenvalues, torch.tensor(beta, dtype=torch.float64)) for beta in (1.5, 0.3)
    )
    multi, base = strong * gamma, weak * gamma
    matched = base * (multi.norm(dim=1) / base.norm(dim=1))[:, None]
    assert never_larger(form(matched, eigenvalues), form(multi, eigenvalues)).all()
    assert (form(matched, eigenvalues) < form(multi, eigenvalues)).all()


def balanced_form(p, label):
    """sum p_i (p_i - Y_i)^2 - (sum p_i (p_i - Y_i))^2 (Theorem 3, Eq. 103)."""
    residual = p - torch.nn.functional.one_hot(torch.tensor(label), p.shape[-1])
    return (p * residual.square()).sum(-1) - (p * residual).sum(-1).square()


def test_o_th_11_theorem_3_is_the_curvature_along_the_gradient():
    classes, kappa, eta, label = 6, 2.5, 0.4, 2
    images = uniform(111, 4, 3, 3, 3)
    basis = torch.linalg.qr(normal(112, 27, classes)).Q * math.sqrt(kappa)

    def model(points):
        return points.flatten(1) @ basis

    p = model(images).softmax(1)
    residual = p - torch.nn.functional.one_hot(torch.tensor(label), classes)
    delta = eta * (residual @ basis.T).reshape(images.shape)
    expected = eta**2 * kappa**2 * balanced_form(p, label)
    assert torch.allclose(curvature(model, images, delta), expected, rtol=0, atol=1e-15)


def test_o_th_11_more_balanced_predictions_interact_less():
    cases, classes = 20000, 6
    own = 0.5 + 0.5 * uniform(113, cases, 1)
    raw = uniform(114, cases, classes - 1) ** 3
    p = (1 - own) * (raw / raw.sum(1, keepdim=True)).sort(1, descending=True).values
    # Shrinking every gap, each by its own factor, is Definition 1 of "more balanced"; adding a
    # constant restores the sum.
    gaps = -p.diff(dim=1) * uniform(115, cases, classes - 2)
    steps = torch.cat([torch.zeros(cases, 1), -gaps.cumsum(1)], 1)
    q = steps + ((1 - own) - steps.sum(1, keepdim=True)) / (classes - 1)
    assert (q > -1e-15).all()
    assert (q.diff(dim=1) >= p.diff(dim=1) - 1e-15).all()
    less, more = (balanced_form(torch.cat([own, rest], 1), 0) for rest in (q, p))
    assert (less <= more + 1e-15).all()
    assert (less < more).float().mean() > 0.9


def test_o_th_12_symmetric_noise_on_a_logit_balances_its_probability():
    logits, tau = normal(121, 500, 5), 3 * uniform(122, 500, 1)
    p = logits.softmax(1)[:, :1]
    shift = torch.zeros_like(logits)
    shift[:, :1] = tau
    noisy = ((logits + shift).softmax(1) + (logits - shift).softmax(1))[:, :1] / 2
    w = tau.cosh()
    expected = (w - 1) * p * (1 - 2 * p) * (1 - p) / (2 * (w - 1) * p * (1 - p) + 1)
    assert torch.allclose(noisy - p, expected, rtol=0, atol=1e-15)
    assert ((noisy > p) == (p < 0.5)).all()
    assert (p > 0.5).any()
    assert (p < 0.5).any()


def test_o_th_13_the_cross_entropy_of_relu_networks_is_convex_around_a_point():
    side, smallest = 3, 0.0
    for seed in range(20):
        net = ReluNet(131 + 10 * seed, side)
        image = uniform(seed, 1, 3, side, side)
        label = torch.tensor([seed % 5])

        def loss(point, net=net, label=label):
            return torch.nn.functional.cross_entropy(net(point), label)

        H = torch.autograd.functional.hessian(loss, image).reshape(27, 27)
        smallest = min(smallest, torch.linalg.eigvalsh(H)[0].item())
        directions = normal(seed, 25, 3, side, side)
        expected = torch.einsum("ki,ij,kj->k", directions.flatten(1), H, directions.flatten(1))
        found = curvature(net, image.expand(25, -1, -1, -1), directions)
        assert (found >= 0).all()
        assert torch.allclose(found, expected, rtol=1e-10, atol=1e-12)
        assert found.max() > 1e-3
    assert smallest > -1e-12
