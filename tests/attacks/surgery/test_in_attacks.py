"""Surgery inside attacks: composed, on its own copy, per example."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gauntlet import Attack, Batch, Goal
from gauntlet.pipeline.attacks.ask import Ask
from gauntlet.pipeline.attacks.loop import run
from gauntlet.pipeline.attacks.messages import Question, Setting
from gauntlet.pipeline.attacks.step import Step
from gauntlet.pipeline.attacks.surgery.ghost import GhostNetwork
from gauntlet.pipeline.attacks.surgery.ia import IntrinsicAttack
from gauntlet.pipeline.attacks.surgery.linbp import LinearBackpropagation
from gauntlet.pipeline.attacks.surgery.sgm import SkipGradient
from gauntlet.pipeline.attacks.surgery.surgery import Surgery
from gauntlet.pipeline.models.architectures.cifar_resnet import CifarResNet
from gauntlet.pipeline.models.graph import residuals, trace
from gauntlet.pipeline.models.model import adapt
from gauntlet.pipeline.oracle import InProcessOracle
from tests.toys.networks import count, folded, images, network, outputs_and_gradient

NAMES = ("one", "two", "three")
SURGERIES = ("sgm", "linbp", "ghost", "ia")
OPTIONS = {"ia": {"ia": {"lambdas": (0.9, 0.8, 0.5)}}}


def small() -> nn.Module:
    torch.manual_seed(0)  # the architecture's own initialisation is not keyed
    return CifarResNet(2).double().eval()


def batch(rows: int = 3) -> Batch:
    at = images("cifar-resnet-20", torch.float64, rows)
    return Batch(NAMES[:rows], at, Goal.UNTARGETED, labels=torch.arange(rows))


def attack(base: str) -> Attack:
    return Attack(base=base, options=OPTIONS.get(base, {}))


def gradient(oracle: InProcessOracle, of: Attack, given: Batch) -> Tensor:
    query = of.method(given.goal, given.images[0].numel()).query
    setting = Setting(given, query, 0, of.label, 0)
    return oracle.gradients(setting, [Question(0, given.images)])[0].gradient


@pytest.mark.parametrize("base", SURGERIES)
def test_o_1_3_plain_gradient_is_the_same_bits_before_and_after_a_surgery_query(base: str) -> None:
    given, net = batch(), small()
    oracle = InProcessOracle([adapt(net, name="m")])
    before = gradient(oracle, Attack(), given)
    operated = gradient(oracle, attack(base), given)
    after = gradient(oracle, Attack(), given)
    assert torch.equal(before, after)
    assert not torch.allclose(operated, before, rtol=1e-2, atol=0)
    assert torch.equal(gradient(oracle, attack(base), given), operated)
    assert not any(part._backward_hooks or part._forward_hooks for part in net.modules())


@pytest.mark.parametrize("base", ["ghost-linbp-sgm", "ghost", "linbp-di"])
def test_an_attack_of_a_batch_is_that_of_its_examples(base: str) -> None:
    given, fields = batch(), {"base": base, "steps": 3, "epsilon": 0.1}
    oracle = InProcessOracle([adapt(small(), name="m")])
    whole = run(Attack(**fields), given, oracle, seed=1, quantize=False).images
    for row in range(3):
        alone = Batch(
            NAMES[row : row + 1],
            given.images[row : row + 1],
            Goal.UNTARGETED,
            labels=torch.tensor([row]),
        )
        found = run(Attack(**fields), alone, oracle, seed=1, quantize=False).images
        torch.testing.assert_close(found[0], whole[row], rtol=0, atol=1e-12)


def test_the_model_is_left_alone() -> None:
    net = small().train()
    state = {name: value.clone() for name, value in net.state_dict().items()}
    oracle = InProcessOracle([adapt(net, name="m")])
    for base in SURGERIES:
        gradient(oracle, attack(base), batch())
    assert all(part.training for part in net.modules())
    assert all(p.grad is None and p.requires_grad for p in net.parameters())
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())


def rewritten(net: nn.Module, *parts: Surgery) -> nn.Module:
    for part in sorted(parts, key=lambda part: part.order):
        net = part.rewrite(net)
    return net


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "facenet"])
def test_surgeries_compose_on_a_folded_network(name: str) -> None:
    net, at = folded(name), images(name)
    found = rewritten(net, SkipGradient(), LinearBackpropagation(), GhostNetwork(tau=0, p=0.01))
    before, after = residuals(trace(net)), residuals(trace(found))
    assert [(r.kind, r.stage, r.first, r.block) for r in before] == [
        (r.kind, r.stage, r.first, r.block) for r in after
    ]
    scaled = sum(not r.first for r in before)
    assert count(found, "scale_gradient") == scaled
    outputs, gradient = outputs_and_gradient(found, at)
    eroded = outputs_and_gradient(GhostNetwork(tau=0, p=0.01).rewrite(net), at)
    # Only ghost changes the outputs; all three change the gradient.
    assert torch.equal(outputs, eroded[0])
    for fewer in ((SkipGradient(),), (LinearBackpropagation(),), ()):
        other = rewritten(net, GhostNetwork(tau=0, p=0.01), *fewer)
        assert not torch.allclose(outputs_and_gradient(other, at)[1], gradient, rtol=1e-2, atol=0)


def test_composition_keeps_first_blocks_and_stages() -> None:
    net = network("resnet18")
    found = rewritten(net, GhostNetwork(), SkipGradient(), LinearBackpropagation(start=0))
    names = ("erode_skip", "scale_gradient", "join", "straight_through")
    assert [count(found, name) for name in names] == [8, 4, 8, 8]


def test_smooth_activations_cannot_be_linearised() -> None:
    with pytest.raises(ValueError, match=r"no ReLU.*smooth_relu"):
        rewritten(network("resnet18"), IntrinsicAttack(), LinearBackpropagation())


def test_both_copies_of_a_renormalised_branch_are_the_same_ghost() -> None:
    net = network("resnet18", torch.float64)
    at = images("resnet18", torch.float64)
    part = LinearBackpropagation(start=17)  # no activation: the plain gradient
    plain = outputs_and_gradient(rewritten(net, GhostNetwork(p=0.05), part), at)
    assert torch.equal(plain[1], outputs_and_gradient(GhostNetwork(p=0.05).rewrite(net), at)[1])
    graph = rewritten(net, GhostNetwork(p=0.05), LinearBackpropagation(start=0))
    assert isinstance(graph, torch.fx.GraphModule)
    erosions = [
        n for n in graph.graph.nodes if getattr(n.target, "__name__", "") == "erode_features"
    ]
    assert len({n.args[2] for n in erosions}) < len(erosions)


@pytest.mark.parametrize("draw", ["", "rap/0"])
def test_svre_s_control_variate_is_the_ghost_that_the_ensemble_asked(draw: str) -> None:
    given = batch(2)
    of = Attack(
        base="i-ghost",
        combine="svre",
        options={"svre": {"inner": 1, "normalised": False}, "ghost": {"p": 0.1}},
    )
    method = of.method(given.goal, given.images[0].numel())
    step = Step(method.ball, given.images, method.step_size, method.normalise)
    oracle = InProcessOracle([adapt(small(), name="a"), adapt(small(), name="b")])
    asked = Ask(oracle, [0, 1], Setting(given, method.query, 0, of.label, 0))
    asked = asked.with_query(method.query, draw)
    # With one inner step the variate and what it corrects are the same gradient.
    found = method.rule.direction(given.images, asked, step).direction
    wanted = torch.stack(asked(given.images).gradients).mean(0)
    assert torch.allclose(found, wanted, rtol=0, atol=1e-12 * float(wanted.abs().max()))
