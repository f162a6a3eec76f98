"""GhostNet."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gauntlet.pipeline.attacks.surgery.ghost import GhostNetwork
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.models.streams import streaming
from tests.toys.networks import (
    ROWS,
    LinearResidual,
    Stack,
    count,
    folded,
    images,
    network,
    outputs_and_gradient,
    pull_back,
    random,
)

FAMILIES = ("resnet18", "densenet121", "vit_tiny", "facenet", "mobilefacenet-112x96", "vgg11")


@pytest.mark.parametrize("name", FAMILIES)
def test_o_ghost_1_without_erosion_it_is_plain(name: str) -> None:
    made, at = network(name), images(name)
    plain = outputs_and_gradient(made, at)
    part = GhostNetwork(p=0, tau=0)
    assert not part.randomised
    found = outputs_and_gradient(part.rewrite(made), at)
    assert torch.equal(found[0], plain[0])
    assert torch.equal(found[1], plain[1])
    eroded = outputs_and_gradient(GhostNetwork().rewrite(made), at)
    assert not torch.allclose(eroded[0], plain[0], rtol=1e-4, atol=0)


@pytest.mark.parametrize("fields", [{"tau": 0.22}, {"p": 0.1}, {"p": 0.05, "tau": 0.5}])
def test_o_ghost_2_expected_output_is_the_plain_output(fields: dict) -> None:
    count_of_draws = 20_000
    made, at = LinearResidual(width=4, depth=2), random("at", 1, 4)
    names = [f"example-{index}" for index in range(count_of_draws)]
    with streaming(Draws.keyed(0, names)):
        outputs = GhostNetwork(**fields).rewrite(made)(at.expand(count_of_draws, 4))
    error = outputs.std(0) / count_of_draws**0.5
    assert float(error.min()) > 0
    assert float(((outputs.mean(0) - made(at)[0]) / error).abs().max()) < 4


@pytest.mark.parametrize("per_channel", [True, False])
def test_o_ghost_3_a_fixed_draw_has_the_closed_form_gradient(per_channel: bool) -> None:
    made, at, v = LinearResidual(depth=3), random("at", 2, 5), random("v", 2, 5)
    draws = Draws.keyed(0, ROWS)
    width = 5 if per_channel else 1
    expected = v
    for name, matrix in reversed(list(zip(("add", "add_1", "add_2"), made.matrices, strict=True))):
        uniform = draws.uniform(f"ghost/skip/{name}", (width,), dtype=torch.float64)
        expected = (1 + 0.22 * (2 * uniform - 1)) * expected + expected @ matrix
    graph = GhostNetwork(per_channel=per_channel).rewrite(made)
    with streaming(draws):
        found = pull_back(graph, at, v)
    torch.testing.assert_close(found, expected, rtol=1e-14, atol=1e-14)


def test_dropout_erosion_drops_the_share_p_and_keeps_the_rest_upscaled() -> None:
    made, at = Stack(nn.Identity, width=6, depth=2), torch.ones(1000, 6, dtype=torch.float64)
    made.linears[0] = nn.Linear(6, 1000, bias=False).double()
    made.linears[0].weight = nn.Parameter(torch.ones(1000, 6, dtype=torch.float64) / 6)
    made.linears[1] = nn.Linear(1000, 1000, bias=False).double()
    made.linears[1].weight = nn.Parameter(torch.eye(1000, dtype=torch.float64))
    with streaming(Draws.keyed(0, [str(row) for row in range(1000)])):
        values = GhostNetwork(p=0.02).rewrite(made)(at)
    dropped = values == 0
    torch.testing.assert_close(values[~dropped], torch.full_like(values[~dropped], 1 / 0.98))
    deviation = (0.02 * 0.98 / dropped.numel()) ** 0.5
    assert abs(float(dropped.double().mean()) - 0.02) < 4 * deviation
    # Independent: neighbours go together as often as p^2 says, ends as often as the middle.
    both = (dropped[:, 1:] & dropped[:, :-1]).double().mean()
    assert abs(float(both) - 0.02**2) < 4 * (0.02**2 / dropped.numel()) ** 0.5
    last = dropped[:, -100:].double().mean()
    assert abs(float(last) - 0.02) < 4 * (0.02 / (1000 * 100)) ** 0.5


def test_draws_belong_to_rows_and_change_with_the_streams() -> None:
    graph = GhostNetwork(p=0.05, tau=0.2).rewrite(network("cifar-resnet-20", torch.float64))
    at = images("cifar-resnet-20", torch.float64)

    def at_rows(values: Tensor, names: tuple[str, ...], seed: int = 0) -> Tensor:
        with streaming(Draws.keyed(seed, names)):
            return graph(values)

    both = at_rows(at, ("a", "b"))
    torch.testing.assert_close(at_rows(at[1:], ("b",)), both[1:], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(at_rows(at.flip(0), ("b", "a")).flip(0), both)
    assert torch.equal(at_rows(at, ("a", "b")), both)
    assert not torch.allclose(at_rows(at, ("a", "b"), seed=1), both)


def test_structure_decides_which_erosion() -> None:
    with_sums, without = GhostNetwork().rewrite(folded("resnet18")), network("vgg11")
    assert (count(with_sums, "erode_skip"), count(with_sums, "erode_features")) == (8, 0)
    eroded = GhostNetwork().rewrite(without)
    # Ten of eleven weight layers: what the first one reads is the image.
    assert (count(eroded, "erode_skip"), count(eroded, "erode_features")) == (0, 10)
    both = GhostNetwork(p=0.01, tau=0.1).rewrite(network("cifar-resnet-20"))
    assert (count(both, "erode_skip"), count(both, "erode_features")) == (9, 19)
    assert count(GhostNetwork(p=0.01).rewrite(network("cifar-resnet-20")), "erode_skip") == 0


def test_channels_of_tokens_are_the_last_dimension() -> None:
    graph = GhostNetwork().rewrite(network("vit_tiny"))
    assert isinstance(graph, torch.fx.GraphModule)
    nodes = [n for n in graph.graph.nodes if getattr(n.target, "__name__", "") == "erode_skip"]
    assert {node.args[2] for node in nodes} == {-1}


def test_what_cannot_be_eroded_is_refused() -> None:
    with pytest.raises(ValueError, match="no residual sums"):
        GhostNetwork(tau=0.1).rewrite(network("vgg11"))
    graph = GhostNetwork().rewrite(network("cifar-resnet-20"))
    with pytest.raises(RuntimeError, match="draws"):
        graph(images("cifar-resnet-20"))
    with (
        pytest.raises(ValueError, match="one row for each image"),
        streaming(Draws.keyed(0, ["a", "b", "c"])),
    ):
        graph(images("cifar-resnet-20"))
