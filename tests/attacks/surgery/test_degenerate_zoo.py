"""Surgery that changes nothing, on trained networks of the zoo: the plain gradient, bit for bit.

One network without residual branches and one with them; that both come with the package is part of
what is tested.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gauntlet import Attack, Batch, Goal
from gauntlet.pipeline.attacks.messages import Question, Setting
from gauntlet.pipeline.attacks.surgery.activations import kinks
from gauntlet.pipeline.attacks.surgery.ghost import GhostNetwork
from gauntlet.pipeline.attacks.surgery.ia import IntrinsicAttack
from gauntlet.pipeline.attacks.surgery.linbp import LinearBackpropagation
from gauntlet.pipeline.attacks.surgery.sgm import SkipGradient
from gauntlet.pipeline.attacks.surgery.surgery import Surgery
from gauntlet.pipeline.batch import Task
from gauntlet.pipeline.data.rendered import TEST_IDENTITIES, render
from gauntlet.pipeline.models.build import build
from gauntlet.pipeline.models.graph import residuals, trace
from gauntlet.pipeline.models.model import Model
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.models.zoo import weights
from gauntlet.pipeline.oracle import InProcessOracle
from tests.toys.networks import outputs_and_gradient

PLAIN, RESIDUAL = "s1", "n1"
NAMES = (PLAIN, RESIDUAL)
ROWS = ("a", "b")

# What each part has to be told to do nothing, from the network: its activations and its stages.
Degenerate = Callable[[nn.Module], Mapping[str, Any]]
DEGENERATE: dict[str, Degenerate] = {
    "sgm": lambda network: {"gamma": 1},
    "linbp": lambda network: {"start": len(kinks(trace(network)))},
    "ghost": lambda network: {"p": 0, "tau": 0},
    "ia": lambda network: {"beta": math.inf, "lambdas": (1,) * stages(network)},
}
PARTS: dict[str, type[Surgery]] = {
    "sgm": SkipGradient,
    "linbp": LinearBackpropagation,
    "ghost": GhostNetwork,
    "ia": IntrinsicAttack,
}
# Settings that do something, to tell "nothing was changed" from "nothing was looked at".
ACTIVE: dict[str, Mapping[str, Any]] = {
    "sgm": {"skip_first": False},
    "linbp": {"start": 0},
    "ghost": {"p": 0.05},
    "ia": {"beta": 5},
}
CASES = [(name, part) for name in NAMES for part in DEGENERATE if (name, part) != (PLAIN, "sgm")]


def stages(network: nn.Module) -> int:
    found = residuals(trace(network))
    return found[-1].stage + 1 if found else 0


@cache
def model(name: str) -> Model:
    """The bundled network as a job builds it; an error when its file is missing."""
    return build(ModelSpec(name=name, source=f"zoo/{name}"), task=Task.VERIFICATION)


@cache
def faces(shot: int) -> Tensor:
    """Pictures of two people whom no network was trained on, (2, 3, 48, 48) in [0, 1]."""
    people = [TEST_IDENTITIES, TEST_IDENTITIES + 1]
    return render(people, [shot, shot]).float() / 255


def active(part: str, network: nn.Module) -> Surgery:
    fields = dict(ACTIVE[part])
    if part == "ia":
        fields["lambdas"] = (0.9,) * stages(network)
    return PARTS[part](**fields)


@pytest.mark.parametrize("name", NAMES)
def test_the_file_comes_with_the_package_and_has_the_structure_that_is_meant(name: str) -> None:
    assert weights.problem_with(name) is None
    found = residuals(trace(model(name).network))
    assert len(found) == {PLAIN: 0, RESIDUAL: 4}[name]


@pytest.mark.parametrize(("name", "part"), CASES)
def test_the_rewritten_network_has_the_plain_outputs_and_gradient(name: str, part: str) -> None:
    network = model(name).network
    inputs = model(name).inputs(faces(0))
    outputs, gradient = outputs_and_gradient(network, inputs)
    assert float(gradient.abs().flatten(1).sum(1).min()) > 0
    found = outputs_and_gradient(PARTS[part](**DEGENERATE[part](network)).rewrite(network), inputs)
    assert torch.equal(found[0], outputs)
    assert torch.equal(found[1], gradient)
    other = outputs_and_gradient(active(part, network).rewrite(network), inputs)
    assert not torch.allclose(other[1], gradient, rtol=1e-2, atol=0)


@pytest.mark.parametrize(("name", "part"), CASES)
def test_an_attack_with_it_asks_for_the_plain_gradient(name: str, part: str) -> None:
    batch = Batch(ROWS, faces(0), Goal.IMPERSONATION, references=faces(1).flip(0))
    oracle = InProcessOracle([model(name)])
    options = DEGENERATE[part](model(name).network)

    def gradient(attack: Attack) -> Tensor:
        query = attack.method(batch.goal, batch.images[0].numel()).query
        setting = Setting(batch, query, 0, attack.label, 0)
        return oracle.gradients(setting, [Question(0, batch.images)])[0].gradient

    plain = gradient(Attack())
    assert float(plain.abs().flatten(1).sum(1).min()) > 0
    assert torch.equal(gradient(Attack(base=part, options={part: options})), plain)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (SkipGradient(), "sgm: the network has no residual sums"),
        (SkipGradient(gamma=1), "sgm: the network has no residual sums"),
        (GhostNetwork(tau=0.2), "ghost: the network has no residual sums for tau to erode"),
        (IntrinsicAttack(lambdas=(0.9,)), "ia: the network has 0 stages, `lambdas` has 1"),
    ],
)
def test_what_needs_residual_branches_is_refused_without_them(part: Surgery, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        part.rewrite(model(PLAIN).network)


def test_what_acts_on_some_activations_is_refused_where_there_are_none_of_them() -> None:
    network = model(PLAIN).network
    count = len(kinks(trace(network)))
    with pytest.raises(ValueError, match=rf"linbp: start must be in 0\.\.{count}, got {count + 1}"):
        LinearBackpropagation(start=count + 1).rewrite(network)
