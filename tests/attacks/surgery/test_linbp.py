"""LinBP."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from gauntlet.pipeline.attacks.surgery.linbp import LinearBackpropagation
from gauntlet.pipeline.models.graph import tap, truncate
from tests.toys.networks import (
    InPlaceBlocks,
    Stack,
    count,
    folded,
    images,
    network,
    outputs_and_gradient,
    pull_back,
    random,
)

ACTIVE: dict[str, Callable[[], nn.Module]] = {
    "relu": lambda: nn.ReLU(inplace=True),
    "relu6": lambda: nn.ReLU6(inplace=True),
    "leaky": lambda: nn.LeakyReLU(0.1),
    "prelu": lambda: nn.PReLU(6),
}


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "facenet", "mobilefacenet-112x96"])
@pytest.mark.parametrize("fields", [{}, {"start": 0, "inside_branches": False}])
def test_o_lbp_1_the_forward_pass_is_the_same(name: str, fields: dict) -> None:
    made, at = network(name), images(name)
    outputs, gradient = outputs_and_gradient(made, at)
    found = outputs_and_gradient(LinearBackpropagation(**fields).rewrite(made), at)
    assert torch.equal(found[0], outputs)
    assert not torch.allclose(found[1], gradient, rtol=1e-2, atol=0)


@pytest.mark.parametrize("active", ACTIVE)
@pytest.mark.parametrize("start", [0, 1, 2, 3])
def test_o_lbp_2_stack_of_linear_layers(active: str, start: int) -> None:
    made, at, v = Stack(ACTIVE[active]), 4 * random("at", 3, 6), random("v", 3, 6)
    slopes: list[Tensor] = []
    hidden = at
    for linear, function in zip(made.linears, made.actives, strict=False):
        before = linear(hidden).detach().requires_grad_()
        after = function(before.clone())
        slopes.append(torch.autograd.grad(after.sum(), before)[0])
        hidden = after.detach()
    expected = v @ made.linears[-1].get_parameter("weight")
    for index in reversed(range(len(slopes))):
        if index < start:
            expected = expected * slopes[index]
        expected = expected @ made.linears[index].get_parameter("weight")
    graph = LinearBackpropagation(start=start).rewrite(made)
    torch.testing.assert_close(pull_back(graph, at, v), expected, rtol=1e-14, atol=1e-14)
    assert torch.equal(graph(at), made(at))


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "facenet", "mobilefacenet-112"])
def test_o_lbp_3_from_behind_the_last_activation_it_is_plain(name: str) -> None:
    made, at = network(name), images(name)
    with pytest.raises(ValueError, match=r"start must be in 0\.\.(\d+)") as refusal:
        LinearBackpropagation(start=10_000).rewrite(made)
    last = int(str(refusal.value).split("..")[1].split(",")[0])
    outputs, gradient = outputs_and_gradient(made, at)
    found = outputs_and_gradient(LinearBackpropagation(start=last).rewrite(made), at)
    assert torch.equal(found[0], outputs)
    assert torch.equal(found[1], gradient)


class OneBlock(nn.Module):
    """x + B relu(A x) with known parts."""

    def __init__(self, bias: float = 0.0) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(6, 6).double(), nn.Linear(6, 6).double()
        self.relu = nn.ReLU(inplace=True)
        self.one.weight.data, self.two.weight.data = random("A", 6, 6), random("B", 6, 6)
        self.one.bias.data.fill_(bias)
        self.requires_grad_(False)

    def forward(self, values: Tensor) -> Tensor:
        return values + self.two(self.relu(self.one(values)))


def test_o_lbp_4_each_branch_gradient_has_the_normal_norm_per_example() -> None:
    made, at, v = OneBlock(), random("at", 4, 6), random("v", 4, 6)
    normal = pull_back(made, at, v) - v
    linear = v @ made.two.weight @ made.one.weight
    found = pull_back(LinearBackpropagation(start=0).rewrite(made), at, v) - v
    torch.testing.assert_close(found.norm(dim=1), normal.norm(dim=1), rtol=1e-13, atol=0)
    torch.testing.assert_close(
        found / found.norm(dim=1, keepdim=True), linear / linear.norm(dim=1, keepdim=True)
    )
    plain = pull_back(LinearBackpropagation(start=0, renormalise=False).rewrite(made), at, v) - v
    torch.testing.assert_close(plain, linear)


def test_a_branch_whose_activations_are_all_off_sends_back_zero() -> None:
    made, at, v = OneBlock(bias=-100.0), random("at", 4, 6), random("v", 4, 6)
    found = pull_back(LinearBackpropagation(start=0).rewrite(made), at, v)
    assert torch.equal(found, v)


@pytest.mark.parametrize("inside", [True, False])
def test_trap_14_in_place_activations_give_the_hand_written_gradient(inside: bool) -> None:
    made, at, v = InPlaceBlocks(), random("at", 3, 6), random("v", 3, 6)
    part = LinearBackpropagation(start=3, inside_branches=inside, renormalise=False)
    found = pull_back(part.rewrite(made), at, v)
    torch.testing.assert_close(found, _by_hand(made, at, v, 3, inside), rtol=1e-13, atol=1e-14)


def _by_hand(made: InPlaceBlocks, at: Tensor, v: Tensor, start: int, inside: bool) -> Tensor:
    """Backward of h = relu(W x), h = relu(h + B relu(A h)); activations in that order, from 0."""
    stem = at @ made.weight("stem").T
    hidden, masks = stem.clamp_min(0), []
    for index in range(made.depth):
        inner = hidden @ made.weight(f"A{index}").T
        total = hidden + inner.clamp_min(0) @ made.weight(f"B{index}").T
        masks.append((inner > 0, total > 0))
        hidden = total.clamp_min(0)
    for index, (inner_mask, total_mask) in reversed(list(enumerate(masks))):
        if inside or 2 * index + 2 < start:
            v = v * total_mask
        branch = v @ made.weight(f"B{index}")
        if 2 * index + 1 < start:
            branch = branch * inner_mask
        v = v + branch @ made.weight(f"A{index}")
    return (v * (stem > 0)) @ made.weight("stem")


def test_the_default_starts_where_the_official_code_does() -> None:
    graph = LinearBackpropagation(renormalise=False).rewrite(network("resnet50"))
    # layer3.1 to layer3.5 and layer4.0 to layer4.2, two activations inside each branch.
    assert count(graph, "straight_through") == 2 * (5 + 3)
    named = LinearBackpropagation(start="layer3.1").rewrite(network("resnet50"))
    assert count(named, "straight_through") == 16
    assert count(named, "join") == 8
    every = LinearBackpropagation(start="layer3.1", inside_branches=False, renormalise=False)
    assert count(every.rewrite(network("resnet50")), "straight_through") == 3 * (5 + 3)
    assert count(LinearBackpropagation().rewrite(network("vgg11")), "straight_through") == 5


def test_layers_keep_their_names_and_values() -> None:
    made, at = network("resnet18"), images("resnet18")
    graph = LinearBackpropagation(start=0).rewrite(made)
    for layer in ("layer3", "layer3.1", "layer3.1.relu", "layer3.1.bn2", "layer4.0.conv1"):
        assert torch.equal(truncate(graph, layer)(at), truncate(made, layer)(at))
        assert torch.equal(tap(graph, layer)(at)[1], made(at))


def test_a_layer_inside_a_renormalised_branch_has_a_gradient() -> None:
    made, at = network("resnet18", torch.float64), images("resnet18", torch.float64)
    layer = "layer4.1.bn1"
    graph = truncate(LinearBackpropagation(start="layer4.1").rewrite(made), layer)
    plain = truncate(made, layer)
    v = torch.ones_like(plain(at))
    torch.testing.assert_close(pull_back(graph, at, v), pull_back(plain, at, v))


def test_a_network_without_straight_activations_is_refused_by_what_it_has() -> None:
    with pytest.raises(ValueError, match=r"no ReLU.* 12 GELU"):
        LinearBackpropagation().rewrite(network("vit_tiny"))


def test_an_unknown_start_is_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown layer 'layer3.9'; did you mean"):
        LinearBackpropagation(start="layer3.9").rewrite(folded("resnet18"))


def test_a_start_behind_all_activations_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to linearise from 'fc' on inside"):
        LinearBackpropagation(start="fc").rewrite(network("resnet18"))


def test_dense_layers_are_renormalised_too() -> None:
    made, at = network("densenet121", torch.float64), images("densenet121", torch.float64)
    graph = LinearBackpropagation(start="features.denseblock4.denselayer16").rewrite(made)
    assert count(graph, "join") == 1
    assert count(graph, "straight_through") == 2
    assert torch.equal(graph(at), made(at))
    for layer in ("features.denseblock4", "features.denseblock4.denselayer16"):
        assert torch.equal(truncate(graph, layer)(at), truncate(made, layer)(at))
