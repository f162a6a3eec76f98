"""SGM."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gauntlet.pipeline.attacks.surgery.sgm import SkipGradient
from gauntlet.pipeline.models.architectures.cifar_resnet import CifarResNet
from gauntlet.pipeline.models.graph import residuals, trace
from tests.toys.networks import (
    InPlaceBlocks,
    LinearResidual,
    count,
    folded,
    images,
    network,
    outputs_and_gradient,
    pull_back,
    random,
)

FAMILIES = ("resnet18", "densenet121", "vit_tiny", "facenet", "mobilefacenet-112")


@pytest.mark.parametrize("name", FAMILIES)
def test_o_sgm_1_gamma_1_is_plain_and_the_forward_pass_is_the_same(name: str) -> None:
    made, at = network(name), images(name)
    outputs, gradient = outputs_and_gradient(made, at)
    same = outputs_and_gradient(SkipGradient(gamma=1).rewrite(made), at)
    assert torch.equal(same[0], outputs)
    assert torch.equal(same[1], gradient)
    other = outputs_and_gradient(SkipGradient().rewrite(made), at)
    assert torch.equal(other[0], outputs)
    assert not torch.allclose(other[1], gradient, rtol=1e-2, atol=0)


@pytest.mark.parametrize("gamma", [0.0, 0.2, 0.7, 1.0])
def test_o_sgm_2_linear_residual_stack(gamma: float) -> None:
    made, at, v = LinearResidual(), random("at", 2, 5), random("v", 2, 5)
    expected = v
    for matrix in reversed(made.matrices):
        expected = expected + gamma * expected @ matrix
    found = pull_back(SkipGradient(gamma=gamma).rewrite(made), at, v)
    torch.testing.assert_close(found, expected, rtol=1e-14, atol=1e-14)
    if gamma == 0:
        assert torch.equal(found, v)


def test_forward_mode_and_second_derivatives() -> None:
    made, at = LinearResidual(), random("at", 5)
    graph = SkipGradient(gamma=0.3).rewrite(made)
    jacobian = torch.eye(5, dtype=torch.float64)
    for matrix in made.matrices:
        jacobian = jacobian + 0.3 * matrix @ jacobian
    u, v = random("u", 5), random("v", 5)
    value, tangent = torch.func.jvp(graph, (at,), (u,))[:2]
    assert torch.equal(value, made(at))
    torch.testing.assert_close(tangent, jacobian @ u)
    _, pull = torch.func.vjp(graph, at)[:2]
    torch.testing.assert_close(pull(v)[0], v @ jacobian)
    rows = torch.func.vmap(torch.func.grad(lambda x: graph(x) @ v))(random("rows", 3, 5))
    torch.testing.assert_close(rows, (v @ jacobian).expand(3, 5))
    point = at.clone().requires_grad_()
    (first,) = torch.autograd.grad(graph(point).square().sum(), point, create_graph=True)
    (second,) = torch.autograd.grad(first @ u, point)
    torch.testing.assert_close(second, 2 * jacobian.T @ (jacobian @ u))


@pytest.mark.parametrize("skip_first", [True, False])
@pytest.mark.parametrize("arch", ["resnet18", "resnet50"])
def test_the_official_hooks_are_branch_scaling_on_all_but_first_blocks(
    arch: str, skip_first: bool
) -> None:
    made, at = network(arch, torch.float64), images(arch, torch.float64)
    ours = SkipGradient(gamma=0.2, skip_first=skip_first).rewrite(made)
    _, gradient = outputs_and_gradient(ours, at)
    _, hooked = outputs_and_gradient(_with_official_hooks(network(arch, torch.float64), 0.2), at)
    cosine = torch.cosine_similarity(gradient.flatten(1), hooked.flatten(1))
    ratio = hooked.flatten(1).norm(dim=1) / gradient.flatten(1).norm(dim=1)
    if skip_first:
        torch.testing.assert_close(cosine, torch.ones_like(cosine), rtol=0, atol=1e-12)
        torch.testing.assert_close(ratio[0], ratio[1], rtol=1e-10, atol=0)
    else:
        assert float(cosine.max()) < 0.99


def _with_official_hooks(made: nn.Module, gamma: float) -> nn.Module:
    """The hooks of spec. 2.5: gradients at ReLUs decayed, at blocks divided by the batch's std.

    They find first blocks by "0.relu" in the name, and take a root where blocks have two ReLUs.
    """
    bottlenecks = any(type(part).__name__ == "Bottleneck" for part in made.modules())
    decay = gamma**0.5 if bottlenecks else gamma

    def decayed(module, given, out):
        return (decay * given[0],)

    def divided(module, given, out):
        return (given[0] / given[0].std(),)

    for name, part in made.named_modules():
        if isinstance(part, nn.ReLU):
            part.inplace = False
            if "0.relu" not in name:
                part.register_full_backward_hook(decayed)
        if len(name.split(".")) >= 2 and "layer" in name.split(".")[-2]:
            part.register_full_backward_hook(divided)
    return made


@pytest.mark.parametrize("gamma", [0.2, 1.0])
def test_trap_14_in_place_activations_give_the_hand_written_gradient(gamma: float) -> None:
    made, at, v = InPlaceBlocks(), random("at", 3, 6), random("v", 3, 6)
    found = pull_back(SkipGradient(gamma=gamma).rewrite(made), at, v)
    torch.testing.assert_close(found, _by_hand(made, at, v, gamma), rtol=1e-13, atol=1e-14)


def _by_hand(made: InPlaceBlocks, at: Tensor, v: Tensor, gamma: float) -> Tensor:
    """Backward of h = relu(W x), h = relu(h + B relu(A h)), written out."""
    stem = at @ made.weight("stem").T
    hidden, masks = stem.clamp_min(0), []
    for index in range(made.depth):
        inner = hidden @ made.weight(f"A{index}").T
        total = hidden + inner.clamp_min(0) @ made.weight(f"B{index}").T
        masks.append((inner > 0, total > 0))
        hidden = total.clamp_min(0)
    for index, (inner_mask, total_mask) in reversed(list(enumerate(masks))):
        v = v * total_mask
        v = v + gamma * ((v @ made.weight(f"B{index}")) * inner_mask) @ made.weight(f"A{index}")
    return (v * (stem > 0)) @ made.weight("stem")


def test_every_branch_is_scaled_but_those_of_first_blocks() -> None:
    for name, scaled in (("resnet18", 4), ("vit_tiny", 24), ("facenet", 21)):
        assert count(SkipGradient().rewrite(network(name)), "scale_gradient") == scaled
    assert count(SkipGradient(skip_first=False).rewrite(folded("resnet18")), "scale_gradient") == 8
    dense = SkipGradient().rewrite(network("densenet121"))
    assert isinstance(dense, torch.fx.GraphModule)
    gammas = {
        n.args[1]
        for n in dense.graph.nodes
        if getattr(n.target, "__name__", "") == "scale_gradient"
    }
    assert gammas == {0.5}
    assert len(residuals(trace(dense))) == 58


def test_a_network_without_branches_is_refused() -> None:
    with pytest.raises(ValueError, match="no residual sums"):
        SkipGradient().rewrite(network("vgg11"))


def test_a_network_of_first_blocks_only_is_refused() -> None:
    made = CifarResNet(1)
    with pytest.raises(ValueError, match="every block of the network starts a stage"):
        SkipGradient().rewrite(made)
    assert count(SkipGradient(skip_first=False).rewrite(made), "scale_gradient") == 3
