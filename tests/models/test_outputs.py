"""What of a network's outputs is its answer."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gauntlet.pipeline.models.graph.layers import tap
from gauntlet.pipeline.models.graph.tracing import trace
from gauntlet.pipeline.models.model import adapt
from gauntlet.pipeline.models.outputs import Unanswered, answer

Heads = namedtuple("Heads", ["logits", "aux"])
Turned = namedtuple("Turned", ["aux", "logits"])
Y, Z = torch.ones(2, 3), torch.zeros(2, 3)


@pytest.mark.parametrize(
    "outputs",
    [
        Y, (Y, Z), [Y, Z], Heads(Y, Z), Turned(Z, Y), {"aux": Z, "logits": Y}, {"features": Y},
        {"aux": Z, "out": Y}, {"norm": Z, "embedding": Y}, ({"logits": Y},), {"logits": (Y, Z)},
    ],
)  # fmt: skip
def test_the_rules(outputs: Any) -> None:
    assert answer(outputs) is Y


def test_a_mapping_that_no_rule_knows_is_refused_by_its_entries() -> None:
    with pytest.raises(Unanswered, match=r"a mapping of a, b; expected logits or "):
        answer({"a": Y, "b": Z})
    assert answer(None) is None


class Network(nn.Module):
    """A classifier that returns its logits in whatever way it is told to."""

    def __init__(self, form: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(12, 3)
        self.form = form

    def forward(self, images: Tensor) -> Any:
        logits = self.layer(images.flatten(1))
        return self.form(logits, logits * 0)


FORMS = [
    lambda logits, aux: (logits, aux),
    lambda logits, aux: {"aux": aux, "logits": logits},
    Heads,
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_model_of_several_outputs_is_one_of_its_answer(form: Any, dtype: torch.dtype) -> None:
    images = torch.rand(4, 3, 2, 2, requires_grad=True)
    plain = adapt(Network(lambda logits, aux: logits)).to(dtype)
    model = adapt(Network(form)).to(dtype)
    assert torch.equal(model(images), plain(images))
    assert model.weights_fingerprint == plain.weights_fingerprint
    found, wanted = (
        torch.autograd.grad(one(images)[:, 0].sum(), images)[0] for one in (model, plain)
    )
    assert torch.equal(found, wanted)
    assert found.abs().max() > 0


@pytest.mark.parametrize("form", FORMS)
def test_a_rewritten_network_returns_its_answer_alone(form: Any) -> None:
    images = torch.rand(4, 3, 2, 2)
    network = Network(form)
    wanted = answer(network(images))
    assert torch.equal(trace(network)(images), wanted)
    features, outputs = tap(network, "layer")(images)
    assert torch.equal(outputs, wanted)
    assert torch.equal(features, wanted)


def test_a_model_without_an_answer_says_so_by_name() -> None:
    model = adapt(Network(lambda a, b: {"a": a, "b": b}), name="mine")
    with pytest.raises(TypeError, match=r"model 'mine': the network returned a mapping of a, b"):
        model(torch.rand(1, 3, 2, 2))
    with pytest.raises(ValueError, match="Network cannot be rewritten: the network returned a map"):
        trace(model.network)
