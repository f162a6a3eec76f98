"""Graphs of networks: the same numbers, residual branches, layers."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gauntlet.pipeline.models.graph import default_layer, layers, residuals, tap, trace, truncate
from tests.toys.networks import ZOO, InPlaceBlocks, folded, images, network, random

RESIDUALS = {
    # name: (branches, blocks that start a stage, stages)
    "cifar-resnet-20": (9, 3, 3),
    "mobilefacenet-112": (12, 0, 3),
    "mobilefacenet-112x96": (12, 0, 3),
    "resnet18": (8, 4, 4),
    "resnet50": (16, 4, 4),
    "densenet121": (58, 0, 4),
    "vgg11": (0, 0, 0),
    "googlenet": (0, 0, 0),
    "inception_v3": (0, 0, 0),
    "vit_tiny": (24, 0, 1),
    "inception_resnet_v2": (40, 0, 3),
    "facenet": (21, 0, 3),
}
FOLDABLE = ("cifar-resnet-20", "mobilefacenet-112x96", "resnet18", "densenet121", "facenet")


def described(found: list) -> tuple[int, int, int]:
    return len(found), sum(r.first for r in found), found[-1].stage + 1 if found else 0


@pytest.mark.parametrize("name", ZOO)
def test_tracing_keeps_the_outputs_bits_and_finds_the_residual_branches(name: str) -> None:
    made, at = network(name), images(name)
    graph = trace(made)
    assert torch.equal(graph(at), made(at))
    assert described(residuals(graph)) == RESIDUALS[name]


@pytest.mark.parametrize("name", FOLDABLE)
def test_a_folded_copied_or_pickled_network_has_the_same_branches(name: str) -> None:
    made, at = folded(name), images(name)
    for graph in (trace(made), trace(copy.deepcopy(made)), pickle.loads(pickle.dumps(made))):
        assert described(residuals(trace(graph))) == RESIDUALS[name]
        assert torch.equal(trace(graph)(at), made(at))


def test_activations_inside_batch_norm_are_nodes_of_their_own() -> None:
    import timm

    from gauntlet.pipeline.attacks.surgery.activations import kinks
    from gauntlet.pipeline.models.fold import fold_batch_norm

    made, at = timm.create_model("mobilenetv2_050").eval(), torch.rand(1, 3, 64, 64)
    whole, melted = trace(made), trace(fold_batch_norm(made, probe=at).model)
    assert torch.equal(whole(at), made(at))
    assert len(kinks(whole)) == len(kinks(melted)) == 35
    assert len(residuals(whole)) == len(residuals(melted)) == 10


def test_branch_and_skip_are_told_apart() -> None:
    first, second = residuals(trace(network("resnet18")))[1:3]
    assert (first.block, first.projected, str(first.skip)) == ("layer1.1", False, "layer1_0_relu_1")
    assert str(first.branch) == "layer1_1_bn2"
    assert (second.block, second.projected) == ("layer2.0", True)
    assert str(second.skip) == "layer2_0_downsample_1"
    assert str(second.fork) == "layer1_1_relu_1"


def test_a_scaled_branch_includes_its_scale() -> None:
    found = residuals(trace(network("facenet")))
    assert [r.block for r in found[:2]] == ["repeat_1.0", "repeat_1.1"]
    assert all(r.branch.name.startswith("mul") for r in found)


def test_dense_layers_are_the_branches_of_densenet() -> None:
    found = residuals(trace(network("densenet121")))
    assert {r.kind for r in found} == {"dense"}
    assert [r.stage for r in found] == [0] * 6 + [1] * 12 + [2] * 24 + [3] * 16
    assert found[6].branch.name == "features_denseblock2_denselayer1_conv2"


class GrowingRows(nn.Module):
    """Dense layers written as x -> (F(x), x), two rows of them; and one cheap copy."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 5, 7)
        self.one = nn.ModuleList(nn.Conv2d(width, 2, 1) for width in widths)
        self.between = nn.Conv2d(9, 3, 1)
        self.two = nn.ModuleList(nn.Conv2d(width, 2, 1) for width in widths)
        self.cheap = nn.Conv2d(9, 9, 1, groups=9)

    def forward(self, values: Tensor) -> Tensor:
        for layer in self.one:
            values = torch.cat((layer(F.relu(values)), values), 1)
        values = self.between(values)
        for layer in self.two:
            values = torch.cat((layer(F.relu(values)), values), 1)
        values = F.relu(values)
        return torch.cat((values, self.cheap(values)), 1).mean((2, 3))


def test_rows_of_concatenations_are_dense_layers() -> None:
    found = residuals(trace(GrowingRows()))
    assert [(r.kind, r.stage) for r in found] == [("dense", 0)] * 3 + [("dense", 1)] * 3
    assert [r.branch.name for r in found] == [f"{n}_{i}" for n in ("one", "two") for i in range(3)]


class NotResidual(nn.Module):
    """Sums that are no residual sums."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
        self.position = nn.Parameter(torch.ones(3, 1, 1))

    def forward(self, values: Tensor) -> Tensor:
        values = values + self.position
        values = F.relu(self.one(values)) + F.relu(self.two(values))
        values = self.one(values) + self.two(values)
        left, right = self.one(values), self.two(F.relu(self.one(values)))
        values = torch.cat([left, right], 1)
        return values * (values.shape[0] + right.shape[0])


def test_other_sums_and_concatenations_are_left_alone() -> None:
    assert residuals(trace(NotResidual())) == []


def test_parameters_are_shared_and_the_network_is_left_alone() -> None:
    made = network("cifar-resnet-20").train().requires_grad_(True)
    before = {name: value.clone() for name, value in made.state_dict().items()}
    graph = trace(made)
    graph(images("cifar-resnet-20"))
    weight = graph.get_parameter("layer1.0.conv1.weight")
    assert weight.data_ptr() == made.get_parameter("layer1.0.conv1.weight").data_ptr()
    assert not weight.requires_grad
    assert not any(part.training for part in graph.modules())
    assert all(part.training for part in made.modules())
    assert all(parameter.requires_grad for parameter in made.parameters())
    assert all(torch.equal(value, before[name]) for name, value in made.state_dict().items())


def test_overwritten_values_stay_readable() -> None:
    made, at = InPlaceBlocks(), random("at", 2, 6)
    graph = trace(made)
    assert torch.equal(graph(at), made(at))
    # The layer's own value, not what the in-place ReLU after it makes of it.
    features = truncate(made, "linears.stem")(at)
    assert torch.equal(tap(made, "linears.stem")(at)[0], features)
    assert (features < 0).any()


class ReadsLater(nn.Module):
    """Reads a value after a ReLU has overwritten it, which a pure ReLU must reproduce."""

    def forward(self, values: Tensor) -> Tensor:
        values = values * 2
        active = F.relu(values, True)
        twice = values.mul(3)
        twice.sub_(active)
        return twice + values


def test_readers_of_an_overwritten_value_get_what_they_had() -> None:
    at = random("later", 2, 6)
    assert torch.equal(trace(ReadsLater())(at), ReadsLater()(at))


class Depends(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        if values.sum() > 0:  # what cannot be traced
            return values
        return -values


class Overwriting(nn.Module):
    """Overwrites a value (a view of it) and reads it afterwards."""

    def __init__(self, how: Callable[[Tensor], Tensor], kept: bool = False) -> None:
        super().__init__()
        self.conv, self.how, self.kept = nn.Conv2d(3, 4, 3, padding=1), how, kept

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        y = self.how(x)
        return y.flatten(1).sum(1) if self.kept else x.flatten(1).sum(1) + y.flatten(1).sum(1)


@pytest.mark.parametrize(
    "overwrite",
    [
        lambda x: F.leaky_relu_(x, 0.1),
        lambda x: F.elu_(x),
        lambda x: F.hardtanh_(x, 0, 1),
        lambda x: torch.clamp_(x, min=0),
        lambda x: x.mul_(2),
    ],
    ids=["leaky_relu_", "elu_", "hardtanh_", "clamp_", "mul_"],
)
def test_functions_that_overwrite_have_a_pure_form(overwrite: Callable[[Tensor], Tensor]) -> None:
    made, at = Overwriting(overwrite).eval(), torch.rand(2, 3, 8, 8)
    graph = trace(made)
    assert torch.equal(graph(at), made(at))
    names = [getattr(n.target, "__name__", str(n.target)) for n in graph.graph.nodes]
    assert not [name for name in names if name.endswith("_") and not name.endswith("__")]


def test_an_overwritten_view_of_what_is_read_later_is_refused() -> None:
    def halves(x: Tensor) -> Tensor:
        one, other = x.chunk(2, 1)
        return F.relu(one, inplace=True) + other

    def flat(x: Tensor) -> Tensor:
        return F.relu(x.flatten(2), inplace=True)

    at = torch.rand(2, 3, 8, 8)
    with pytest.raises(ValueError, match="'relu' overwrites 'flatten', which shares its memory wi"):
        trace(Overwriting(flat).eval())
    for made in (Overwriting(flat, kept=True).eval(), Overwriting(halves, kept=True).eval()):
        with torch.no_grad():  # autograd does not let a part be overwritten
            assert torch.equal(trace(made)(at), made(at))


def test_an_untraceable_network_is_named_with_the_line_at_fault() -> None:
    with pytest.raises(
        ValueError, match=r"Depends .*test_graph.py:\d+ \(if values.sum\(\) > 0"
    ) as e:
        trace(Depends())
    assert "without surgery" in str(e.value)


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("cifar-resnet-20", "layer2"),
        ("resnet18", "layer2"),
        ("densenet121", "features.denseblock2"),
        ("vgg11", "features.14"),
        ("googlenet", "inception4c"),
        ("inception_v3", "Mixed_6c"),
        ("vit_tiny", "blocks.5"),
        ("facenet", "repeat_2"),
        ("mobilefacenet-112", "features.11"),
    ],
)
def test_the_default_layer_is_in_the_middle(name: str, layer: str) -> None:
    made, at = network(name), images(name)
    assert default_layer(made) == layer
    features, outputs = tap(made, layer)(at)
    assert torch.equal(outputs, made(at))
    assert torch.equal(truncate(made, layer)(at), features)
    recorded: list[Tensor] = []
    hook = made.get_submodule(layer).register_forward_hook(lambda *a: recorded.append(a[2]))
    made(at)
    hook.remove()
    assert torch.equal(recorded[0].flatten(1), features)


@pytest.mark.parametrize("layer", ["layer2", "layer2.0", "layer2.0.relu2", "layer3.1.conv1"])
def test_layers_of_a_folded_network_keep_their_names(layer: str) -> None:
    made, at = folded("cifar-resnet-20"), images("cifar-resnet-20")
    plain = truncate(network("cifar-resnet-20"), layer)(at)
    features = truncate(made, layer)(at)
    assert features.shape == plain.shape
    if not layer.endswith("conv1"):  # which has batch norm inside now
        torch.testing.assert_close(features, plain, rtol=1e-3, atol=1e-4)
    again = truncate(pickle.loads(pickle.dumps(made)), layer)(at)
    assert torch.equal(again, features)


def test_outputs_are_computed_from_the_tapped_features() -> None:
    made, at = network("cifar-resnet-20"), images("cifar-resnet-20")
    features, outputs = tap(made, "layer2")(at.requires_grad_())
    (gradient,) = torch.autograd.grad(outputs.sum(), features)
    assert gradient.shape == features.shape
    assert float(gradient.abs().sum()) > 0


def test_the_last_layer_can_be_tapped() -> None:
    made, at = network("cifar-resnet-20"), images("cifar-resnet-20")
    features, outputs = tap(made, "linear")(at)
    assert torch.equal(features, outputs)


def test_unknown_layers_get_near_names() -> None:
    with pytest.raises(ValueError, match=r"unknown layer 'layer5'; did you mean 'layer\d'"):
        truncate(network("cifar-resnet-20"), "layer5")
    with pytest.raises(ValueError, match=r"known: conv1, .* and \d+ more"):
        tap(network("resnet50"), "middle")


def test_layers_are_listed_in_order_with_shapes() -> None:
    found = layers(network("resnet18"), images("resnet18"))
    names = [layer.name for layer in found]
    assert names.index("layer1") < names.index("layer2.0.conv1") < names.index("layer2")
    shapes = {layer.name: layer.shape for layer in found}
    assert shapes["layer2"] == (128, 6, 6)
    assert shapes["fc"] == (1000,)
    kinds = {layer.name: layer.kind for layer in found}
    assert (kinds["layer1.0"], kinds["layer1.0.relu"]) == ("BasicBlock", "ReLU")
    assert [layer.name for layer in layers(network("resnet18"))] == names
