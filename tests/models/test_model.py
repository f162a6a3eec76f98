"""The adapter: one preprocessing, an untouched module, frozen weights."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gauntlet.pipeline.batch import Task
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.models.description import Description
from gauntlet.pipeline.models.model import Model, adapt
from gauntlet.pipeline.models.preprocessing import Preprocessing

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


def images(
    rows: int = 3, height: int = 8, width: int = 8, dtype: torch.dtype = torch.float32
) -> Tensor:
    names = [str(row) for row in range(rows)]
    return Draws.keyed(1, names).uniform("images", (3, height, width), dtype=dtype)


class Echo(nn.Module):
    """Returns its input as the embedding."""

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.flatten(1)


class Stateful(nn.Module):
    """Everything that an attack might disturb: batch norm, dropout, its own counter."""

    calls: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Dropout(0.5)
        )
        self.head = nn.Linear(4, 5)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, inputs: Tensor) -> Tensor:
        self.calls += 1
        logits: Tensor = self.head(self.body(inputs).mean((2, 3)))
        return logits


def test_trap_12_preprocessing_once() -> None:
    batch = images()
    # A module handed over gets nothing added: it may normalise by itself.
    assert torch.equal(adapt(Echo())(batch), batch.flatten(1))
    assert str(adapt(Echo()).preprocessing) == "any size, rgb, no normalisation"
    # Asked for, it is applied exactly once.
    once = (batch - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    model = adapt(Echo(), mean=MEAN, std=STD)
    assert torch.equal(model(batch), once.flatten(1))
    # A model keeps its native size, and says so.
    model = adapt(Echo(), input_size=(4, 6), mean=MEAN, std=STD, channels="bgr")
    assert model(batch).shape == (3, 3 * 4 * 6)
    expected = "4x6 (bilinear), bgr, mean (0.4, 0.5, 0.6), std (0.2, 0.25, 0.3)"
    assert str(model.preprocessing) == expected


def test_trap_13_model_state_untouched() -> None:
    module = Stateful().train()
    module.body[0].requires_grad_(False)
    module.head.weight.grad = torch.ones_like(module.head.weight)
    before = copy.deepcopy(module.state_dict())
    modes = [part.training for part in module.modules()]
    needs = [parameter.requires_grad for parameter in module.parameters()]
    grad = module.head.weight.grad

    model = adapt(module)
    leaf = images().requires_grad_()
    first = model(leaf)
    (gradient,) = torch.autograd.grad(first.sum(), leaf)
    assert gradient.abs().sum() > 0
    model.train()
    model.to(torch.float64)

    assert [part.training for part in module.modules()] == modes
    assert [parameter.requires_grad for parameter in module.parameters()] == needs
    assert module.head.weight.grad is grad
    assert torch.equal(grad, torch.ones_like(grad))
    assert module.head.bias.grad is None
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert module.head.weight.dtype == torch.float32


def test_copy_shares_the_weights_memory_and_not_the_buffers() -> None:
    module = Stateful()
    model = adapt(module)
    mine = dict(module.named_parameters())
    for name, parameter in model.network.named_parameters():
        assert parameter.data_ptr() == mine[name].data_ptr()
        assert not parameter.requires_grad
    buffers = dict(module.named_buffers())
    for name, buffer in model.network.named_buffers():
        assert buffer.data_ptr() != buffers[name].data_ptr()


def test_module_with_a_tensor_in_the_graph_can_be_handed_over() -> None:
    module = nn.utils.weight_norm(nn.Linear(12, 2))
    wrapped = nn.Sequential(nn.Flatten(), module)
    wrapped(torch.ones(1, 3, 2, 2))
    assert adapt(wrapped)(torch.ones(1, 3, 2, 2)).shape == (1, 2)


def test_model_stays_in_eval_mode_and_frozen() -> None:
    model = Model(Stateful())
    assert not any(part.training for part in model.train().modules())
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert torch.equal(model(images()), model(images()))


def test_gradient_reaches_the_canonical_image_through_every_step() -> None:
    preprocessing = Preprocessing(
        input_size=(5, 4), mean=MEAN, std=STD, channels="bgr", resize="bicubic", mirror=True
    )
    model = Model(Echo(), Description(Task.VERIFICATION, preprocessing)).double()
    leaf = images(1, 6, 7, torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: model(x), (leaf,))


def test_mirror_adds_the_mirrored_image() -> None:
    batch = images()
    model = Model(Echo(), Description(Task.VERIFICATION, Preprocessing(mirror=True)))
    assert torch.equal(model(batch), (batch + batch.flip(3)).flatten(1))


def test_crop_takes_the_centre_or_refuses() -> None:
    batch = images(2, 112, 112)
    model = Model(Echo(), Description(preprocessing=Preprocessing((112, 96), resize="crop")))
    assert torch.equal(model(batch), batch[:, :, :, 8:104].flatten(1))
    with pytest.raises(ValueError, match="cannot crop 112x96 from an image of 64x64"):
        model(images(2, 64, 64))


def test_enlarging_is_plain_bilinear() -> None:
    batch = images()
    model = adapt(Echo(), input_size=(16, 20))
    expected = F.interpolate(batch, (16, 20), mode="bilinear", align_corners=False)
    torch.testing.assert_close(model(batch), expected.flatten(1))


def test_outputs_that_are_no_rows_are_refused() -> None:
    class Pair(nn.Module):
        def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
            return inputs, inputs

    with pytest.raises(TypeError, match=r"model 'mine'.*returned \(3, 3, 8, 8\)"):
        adapt(Pair(), name="mine")(images())
    with pytest.raises(TypeError, match=r"returned \(3, 3, 8, 8\)"):
        adapt(nn.Identity())(images())


def test_fingerprints_tell_weights_from_what_is_around_them() -> None:
    module = Stateful()
    plain, scaled = adapt(module), adapt(module, mean=MEAN, std=STD)
    assert plain.weights_fingerprint == scaled.weights_fingerprint
    assert plain.fingerprint != scaled.fingerprint
    assert plain.fingerprint == adapt(module, name="other").fingerprint
    assert adapt(Stateful()).weights_fingerprint != plain.weights_fingerprint


@pytest.mark.parametrize("mean", [0.5, (0.5,), "abc"])
def test_a_mean_that_is_not_three_numbers_is_refused(mean):
    with pytest.raises(ValueError, match="mean must be three numbers, one a channel"):
        adapt(Echo(), mean=mean)


def test_a_mean_may_be_a_tensor():
    assert adapt(Echo(), mean=torch.tensor(MEAN)).mean.flatten().tolist() == pytest.approx(MEAN)


class Doubling(nn.Module):
    """Writes to its input."""

    def forward(self, images: Tensor) -> Tensor:
        return images.mul_(2).flatten(1)


def test_a_network_that_writes_to_its_input_leaves_the_images_alone() -> None:
    given = images()
    before = given.clone()
    model = adapt(Doubling())
    assert torch.equal(model(given), 2 * before.flatten(1))
    assert torch.equal(given, before)
    leaf = given.requires_grad_()
    (gradient,) = torch.autograd.grad(model(leaf).sum(), leaf)
    assert torch.equal(gradient, torch.full_like(before, 2))
