"""Networks in half precision: what lies around them is in float32, and no gradient is lost."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from gauntlet import Attack, adapt, attack, gradient_cosines
from gauntlet.pipeline.models.description import Description
from gauntlet.pipeline.models.mean import MeanLogits
from gauntlet.pipeline.models.model import Model
from gauntlet.pipeline.models.preprocessing import Preprocessing
from tests.toys.surrogates import SmallNet, images

LABELS = torch.arange(6) % 4
CLEAN = images(6).float()


def net(gain: float = 1.0, seed: int = 0) -> nn.Module:
    return SmallNet(seed, gain=gain).float()


def sure(seed: int = 0) -> tuple[nn.Module, Tensor]:
    """A network and the classes that it is sure of: their derivatives are below float16's least."""
    network = net(14.0, seed)
    with torch.no_grad():
        logits = network(CLEAN)
    others = logits.topk(2).values.diff(dim=1).abs()
    assert (others > 17).any()
    return network, logits.argmax(1)


class Chain(nn.Module):
    """Scales what goes back through it by 2^power, inside."""

    def __init__(self, power: int) -> None:
        super().__init__()
        self.net, self.power = net(), power

    def forward(self, inputs: Tensor) -> Tensor:
        small = inputs * 2.0**self.power
        return self.net((small - small.detach()) + inputs.detach())


@pytest.mark.parametrize(("dtype", "least"), [(torch.float16, 0.999), (torch.bfloat16, 0.97)])
def test_the_gradient_in_half_precision_is_that_of_float32(dtype, least):
    network, classes = sure()
    twin = copy.deepcopy(network).to(dtype)
    cosines = gradient_cosines([network, twin], CLEAN, classes, Attack(objective="margin"))
    assert cosines[:, 0, 1].min() > least


def test_derivatives_below_the_least_float16_are_not_lost():
    network, classes = sure()
    with torch.no_grad():
        error = 1 - network(CLEAN).double().softmax(1).gather(1, classes[:, None])[:, 0]
    assert error.min() < 2.0**-25  # rounds to zero in float16
    cosines = gradient_cosines([network, copy.deepcopy(network).half()], CLEAN, classes)
    # Float32 itself has lost digits where 1 - p is below 1e-5.
    assert cosines[error > 1e-5, 0, 1].min() > 0.999
    assert not cosines.isnan().any()


@pytest.mark.parametrize("power", [9, -17])
def test_each_row_finds_a_scale_at_which_it_neither_overflows_nor_fades(power):
    gradients = []
    for model in (Model(Chain(power)), Model(Chain(power).half())):
        leaf = CLEAN.clone().requires_grad_()
        outputs = model(leaf)
        weights = torch.logspace(-12, 3, len(leaf))[:, None] * torch.tensor([1.0, -2, 1, 0.5])
        (gradient,) = torch.autograd.grad(outputs, leaf, weights)
        assert gradient.dtype == torch.float32
        gradients.append(gradient.flatten(1).double())
    plain, half = gradients
    lengths = plain.norm(dim=1), half.norm(dim=1)
    assert ((plain * half).sum(1) / (lengths[0] * lengths[1])).min() > 0.999
    torch.testing.assert_close(lengths[1], lengths[0], rtol=1e-2, atol=0)


def test_a_derivative_that_is_zero_or_not_a_number_stays_so():
    leaf = CLEAN.clone().requires_grad_()
    outputs = Model(net().half())(leaf)
    weights = torch.zeros_like(outputs)
    weights[1], weights[2] = torch.nan, 1.0
    (gradient,) = torch.autograd.grad(outputs, leaf, weights)
    assert (gradient[0] == 0).all()
    assert gradient[1].isnan().any()
    assert gradient[2].isfinite().all()
    assert gradient[2].abs().sum() > 0


def test_images_are_normalised_before_they_are_rounded():
    class Keep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(()))

        def forward(self, inputs: Tensor) -> Tensor:
            assert inputs.dtype == torch.float16
            return (inputs * self.weight).flatten(1)

    preprocessing = Preprocessing(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    model = Model(Keep(), Description(preprocessing=preprocessing)).half()
    assert (model.dtype, model.mean.dtype) == (torch.float32, torch.float32)
    assert model.network.weight.dtype == torch.float16
    expected = (
        Model(Keep().float(), Description(preprocessing=preprocessing)).inputs(CLEAN).half().float()
    )
    assert torch.equal(model(CLEAN), expected.flatten(1))


def test_members_of_a_mean_have_each_a_type_of_their_own():
    members = [adapt(net(seed=0)), adapt(net(seed=1).half()), adapt(net(seed=2).double())]
    mean = Model(MeanLogits(members))
    expected = torch.stack([member(CLEAN) for member in members]).mean(0)
    assert torch.equal(mean(CLEAN), expected)
    assert {member(CLEAN).dtype for member in members} == {torch.float32, torch.float64}


def test_a_float16_network_is_not_differentiated_twice():
    recipe = Attack(base="ir-closed", steps=1)
    with pytest.raises(ValueError, match="float16 network is not differentiated twice"):
        attack([net().half()], CLEAN, LABELS, recipe)
    assert attack([net().bfloat16()], CLEAN, LABELS, recipe).dtype == torch.float32


def test_an_operation_that_the_device_lacks_is_named():
    class Distances(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.centres = nn.Parameter(torch.randn(4, 192))

        def forward(self, inputs: Tensor) -> Tensor:
            return torch.linalg.svd(inputs.flatten(1) @ self.centres.T)[2][:, :4]

    with pytest.raises(ValueError, match=r"Distances cannot take float16 images on cpu \(.*Half"):
        Model(Distances().half())(CLEAN)


def test_autocast_around_the_call_reaches_the_networks_and_nothing_else():
    recipe = Attack(base="ti-mi", combine="rgea", steps=2, epsilon=4 / 255)
    wide = [net(seed=0).double(), net(seed=1).double()]  # autocast leaves float64 alone
    plain = attack(wide, CLEAN, LABELS, recipe, quantize=False)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(attack(wide, CLEAN, LABELS, recipe, quantize=False), plain)
        seen = []

        def watched(inputs: Tensor) -> Tensor:
            around = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else None
            seen.append((inputs.dtype, around))
            return first(inputs)

        first = net().eval()
        result = attack([watched], CLEAN, LABELS, recipe)
    assert set(seen) == {(torch.float32, torch.bfloat16)}
    assert result.dtype == torch.float32
