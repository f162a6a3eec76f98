"""IA, and its search."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gauntlet.pipeline.attacks.surgery.ia import (
    IntrinsicAttack,
    smooth_relu,
    smooth_relu6,
    smooth_slope,
)
from gauntlet.pipeline.models.architectures.cifar_resnet import CifarResNet
from gauntlet.pipeline.models.model import adapt
from gauntlet.pipeline.training.ia_search import alignment, search, write
from gauntlet.pipeline.training.settings import SearchSettings
from tests.toys.networks import (
    InPlaceBlocks,
    Stack,
    count,
    folded,
    images,
    network,
    outputs_and_gradient,
    random,
)

STAGES = {"resnet18": 4, "densenet121": 4, "vit_tiny": 1, "facenet": 3, "mobilefacenet-112x96": 3}


def basis(rows: int, width: int) -> Tensor:
    """Probes that make the trace exact: sqrt(D) e_j."""
    return width**0.5 * torch.eye(width, dtype=torch.float64)[:, None].expand(width, rows, width)


def test_o_ia_1_divergence_is_the_formula_of_gradient_and_hessian() -> None:
    made = Stack(nn.Softplus)
    at, label = random("at", 6), torch.tensor(2)

    def direction(x: Tensor) -> Tensor:
        gradient = torch.func.grad(lambda v: F.log_softmax(made(v), 0)[label])(x)
        return gradient / gradient.norm()

    divergence = -torch.func.jacrev(direction)(at).trace()
    found = alignment(made, at[None], label[None], basis(1, 6))
    torch.testing.assert_close(found[0], divergence, rtol=1e-12, atol=1e-14)
    assert abs(float(found)) > 1e-3


@pytest.mark.parametrize(("beta", "bound"), [(20, 0.034657), (25, 0.027726), (35, 0.019804)])
def test_o_ia_2_softplus_is_at_most_ln2_over_beta_away(beta: float, bound: float) -> None:
    values = torch.linspace(-3, 3, 60_001, dtype=torch.float64)
    difference = smooth_relu(values, beta) - F.relu(values)
    assert float(difference.max()) == pytest.approx(math.log(2) / beta, rel=1e-12)
    assert float(difference.max()) == pytest.approx(bound, abs=5e-7)
    assert float(difference.min()) > -1e-8
    others = (
        (smooth_relu6(values + 3, beta), F.relu6(values + 3)),
        (smooth_slope(values, beta, 0.1), F.leaky_relu(values, 0.1)),
    )
    for smooth, kinked in others:
        assert float((smooth - kinked).abs().max()) < bound * 1.001


@pytest.mark.parametrize("name", STAGES)
def test_o_ia_2_sharp_and_unweakened_is_plain(name: str) -> None:
    made, at = network(name), images(name)
    plain = outputs_and_gradient(made, at)
    part = IntrinsicAttack(beta=float("inf"), lambdas=(1,) * STAGES[name])
    found = outputs_and_gradient(part.rewrite(made), at)
    assert torch.equal(found[0], plain[0])
    assert torch.equal(found[1], plain[1])


def test_o_ia_3_linear_softmax_with_orthogonal_weights() -> None:
    kappa, width, classes = 2.5, 6, 4
    orthogonal, _ = torch.linalg.qr(random("Q", width, width))
    weights = kappa**0.5 * orthogonal[:classes]
    at, labels = random("at", 3, width), torch.tensor([0, 1, 3])
    p = (at @ weights.T).softmax(1)
    right = p.gather(1, labels[:, None])[:, 0]
    trace = kappa * (1 - p.square().sum(1))
    length = kappa * (p.square().sum(1) - right.square() + (1 - right).square())
    hessian = [weights.T @ (torch.diag(q) - torch.outer(q, q)) @ weights for q in p]
    onehot = F.one_hot(labels, classes).double()
    gradients = (p - onehot) @ weights
    torch.testing.assert_close(gradients.square().sum(1), length)
    torch.testing.assert_close(torch.stack([h.trace() for h in hessian]), trace)
    along = torch.stack([g @ h @ g for g, h in zip(gradients, hessian, strict=True)])
    expected = (trace * length - along) / length**1.5
    found = alignment(lambda x: x @ weights.T, at, labels, basis(3, width))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_branches_are_weakened_in_the_forward_pass() -> None:
    made, at = InPlaceBlocks(depth=2), random("at", 3, 6)
    beta, factor = 7.0, 0.3
    hidden = F.softplus(at @ made.weight("stem").T, beta)
    for index in range(2):
        inner = F.softplus(hidden @ made.weight(f"A{index}").T, beta)
        hidden = F.softplus(hidden + factor * inner @ made.weight(f"B{index}").T, beta)
    graph = IntrinsicAttack(beta=beta, lambdas=(factor,)).rewrite(made)
    torch.testing.assert_close(graph(at), hidden, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize(
    ("name", "beta", "lambdas", "branches"),
    [
        ("resnet18", 20, [0.98, 0.98, 0.87, 0.87, 0.73, 0.73, 0.19, 0.19], 8),
        ("densenet121", 35, [0.8] * 42 + [0.44] * 16, 58),
        ("vgg11", 20, [], 0),
    ],
)
def test_published_settings(name: str, beta: float, lambdas: list[float], branches: int) -> None:
    graph = IntrinsicAttack().rewrite(network(name))
    assert count(graph, "weaken") == branches
    assert isinstance(graph, torch.fx.GraphModule)
    calls = [n for n in graph.graph.nodes if n.op == "call_function"]
    assert [n.args[1] for n in calls if n.target.__name__ == "weaken"] == lambdas
    betas = {n.args[1] for n in calls if n.target is smooth_relu}
    assert betas == {beta}


def test_parametric_slopes_are_smoothed() -> None:
    made, at = folded("mobilefacenet-112x96"), images("mobilefacenet-112x96")
    graph = IntrinsicAttack(beta=1e5, lambdas=(1, 1, 1)).rewrite(made)
    assert count(graph, "smooth_slope") == 33
    torch.testing.assert_close(graph(at), made(at), rtol=1e-3, atol=1e-3)
    assert not torch.equal(graph(at), made(at))


def test_settings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="3 stages"):
        IntrinsicAttack().rewrite(network("cifar-resnet-20"))
    with pytest.raises(ValueError, match=r"4 stages, `lambdas` has 2"):
        IntrinsicAttack(lambdas=(1, 1)).rewrite(network("resnet18"))
    with pytest.raises(ValueError, match="12 GELU"):
        IntrinsicAttack(lambdas=(1,)).rewrite(network("vit_tiny"))
    with pytest.raises(ValueError, match="cannot be read"):
        IntrinsicAttack(search="nowhere.json")


def test_a_search_raises_the_criterion_and_is_stored(tmp_path: Path) -> None:
    torch.manual_seed(0)  # the architecture's own initialisation is not keyed
    at, net = images("cifar-resnet-20", torch.float64, rows=4), CifarResNet(1).double().eval()
    # Logits that differ between images, so that smoothing changes what is predicted.
    net.linear.bias.data -= net(at).mean(0).detach()
    model = adapt(net, name="small")
    labels = model(at).argmax(1)
    settings = SearchSettings(trials=4, probes=2, drop=1.0, rows=3)
    ids = [f"image-{row}" for row in range(4)]
    found = search(model, at, labels, ids, settings)
    # The first trial is the same in a search of one.
    alone = search(model, at, labels, ids, settings.model_copy(update={"trials": 1}))
    assert found.criterion > alone.criterion
    assert (found.plain_accuracy, found.tried, len(found.lambdas)) == (1.0, 4, 3)
    again = search(model, at, labels, ids, settings.model_copy(update={"rows": 4}))
    assert (again.beta, again.lambdas) == (found.beta, found.lambdas)
    path = tmp_path / "ia.json"
    write(path, found, model, at, settings)
    assert json.loads(path.read_text())["provenance"]["weights"] == model.weights_fingerprint
    part = IntrinsicAttack(search=str(path))
    assert (part.beta, part.lambdas) == (found.beta, found.lambdas)
    # What runs elsewhere carries the numbers, and needs no file.
    path.unlink()
    assert IntrinsicAttack(**part.model_dump()) == part
    with pytest.raises(ValueError, match=r"keeps the accuracy 1\.000 within 0"):
        search(model, at, labels, ids, settings.model_copy(update={"trials": 2, "drop": 0.0}))
