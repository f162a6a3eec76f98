"""Functions, TorchScript and other things that can be called as networks."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from gauntlet import Attack, adapt, attack
from tests.toys.surrogates import SmallNet, images

CLEAN, LABELS = images(4).float(), torch.arange(4)
RECIPE = Attack(base="mi", steps=2)
NET = SmallNet(0).float()


class Owner:
    def __init__(self) -> None:
        self.net = NET

    def __call__(self, inputs: Tensor) -> Tensor:
        return self.net(inputs)

    def logits(self, inputs: Tensor, factor: float = 1.0) -> Tensor:
        return self.net(inputs) * factor


CALLABLES: dict[str, Callable[[Tensor], Tensor]] = {
    "lambda": lambda x: NET(x),
    "closure": (lambda net: lambda x: net(x))(NET),
    "method": NET.forward,
    "partial": functools.partial(Owner().logits, factor=1.0),
    "object": Owner(),
}


@pytest.mark.parametrize("how", CALLABLES)
def test_a_function_is_a_network(how):
    expected = attack([NET], CLEAN, LABELS, RECIPE, fold=False)
    assert torch.equal(attack([CALLABLES[how]], CLEAN, LABELS, RECIPE), expected)


@pytest.mark.parametrize("how", CALLABLES)
def test_a_function_runs_in_the_type_of_the_network_that_it_uses(how):
    try:
        NET.double()
        expected = attack([NET], CLEAN, LABELS, RECIPE, fold=False)
        assert torch.equal(attack([CALLABLES[how]], CLEAN, LABELS, RECIPE), expected)
    finally:
        NET.float()


@pytest.mark.parametrize("how", CALLABLES)
def test_a_network_in_training_mode_inside_a_function_is_refused(how):
    NET.train()
    try:
        with pytest.raises(ValueError, match=r"calls SmallNet in training mode.* call \.eval\(\)"):
            attack([CALLABLES[how]], CLEAN, LABELS, RECIPE)
    finally:
        NET.eval()


def test_a_function_without_any_network_is_one():
    result = attack([lambda x: 20 * x.mean(2).flatten(1)], CLEAN, LABELS, RECIPE)
    assert (result != CLEAN).any()


@pytest.mark.parametrize("compiled", [torch.jit.script, lambda net: torch.jit.trace(net, CLEAN)])
def test_torchscript_is_attacked_and_no_surgery_is_tried(compiled):
    plain = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 4)
    )
    module = compiled(plain.eval())
    weights = [value.clone() for value in module.state_dict().values()]
    result = attack([module], CLEAN, LABELS, RECIPE)
    assert (result == attack([plain], CLEAN, LABELS, RECIPE)).float().mean() > 0.99
    assert all(map(torch.equal, module.state_dict().values(), weights))
    assert all(parameter.requires_grad for parameter in module.parameters())
    with pytest.raises(ValueError, match="TorchScript, cannot be rewritten: give the module"):
        attack([module], CLEAN, LABELS, Attack(base="linbp"))


def test_a_surgery_on_a_function_is_refused():
    with pytest.raises(ValueError, match="a function, cannot be rewritten: give the module"):
        attack([CALLABLES["lambda"]], CLEAN, LABELS, Attack(base="linbp"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([SmallNet], "got the class SmallNet"),
        ([18], "a function from images .* got int 18"),
        (NET, "must be a list, got one SmallNet"),
        (CALLABLES["lambda"], "must be a list, got one <lambda>"),
    ],
)
def test_what_is_no_network_is_refused(given, message):
    with pytest.raises(TypeError, match=message):
        attack(given, CLEAN, LABELS, RECIPE)


def test_a_network_that_hides_its_derivative_is_refused():
    half = SmallNet(1).half()
    for network in (NET, half):
        with pytest.raises(TypeError, match="'model': its outputs have no derivative"):
            adapt(torch.no_grad()(network.forward))(CLEAN.clone().requires_grad_())


def test_a_module_that_cannot_be_copied_is_refused():
    class Locked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lock = threading.Lock()

    with pytest.raises(TypeError, match="Locked cannot be copied, and the original must stay"):
        adapt(Locked())
