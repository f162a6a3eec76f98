"""Folding batch norm."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.models.architectures import ARCHITECTURES
from gauntlet.pipeline.models.description import Description
from gauntlet.pipeline.models.fold import fold_batch_norm
from gauntlet.pipeline.models.model import Model, adapt
from gauntlet.pipeline.models.preprocessing import Preprocessing


def stirred(network: nn.Module) -> nn.Module:
    """Return the network with keyed weights, and batch norm statistics as after training."""
    draws = Draws.keyed(3, ["statistics"])
    for name, parameter in network.named_parameters():
        if parameter.ndim > 1:
            bound = (3 / parameter[0].numel()) ** 0.5
            parameter.data = (2 * draws.uniform(name, parameter.shape)[0] - 1) * bound
    for name, part in network.named_modules():
        if isinstance(part, nn.BatchNorm2d | nn.BatchNorm1d):
            width = (part.num_features,)
            part.running_mean = draws.uniform(f"{name}/mean", width)[0] - 0.5
            part.running_var = draws.uniform(f"{name}/var", width)[0] + 0.5
            part.weight.data = draws.uniform(f"{name}/weight", width)[0] + 0.5
            part.bias.data = draws.uniform(f"{name}/bias", width)[0] - 0.5
    return network.eval()


def norms(network: nn.Module) -> int:
    return sum(isinstance(part, nn.BatchNorm2d | nn.BatchNorm1d) for part in network.modules())


def model_of(name: str) -> Model:
    if name in ARCHITECTURES:
        known = ARCHITECTURES[name]
        size, network = known.input_size, known.constructor()
        return Model(
            stirred(network), Description(preprocessing=Preprocessing(size, known.mean, known.std))
        )
    return Model(
        stirred(timm.create_model(name)), Description(preprocessing=Preprocessing((64, 64)))
    )


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("cifar-resnet-20", torch.float64),
        ("mobilefacenet-112x96", torch.float64),
        ("mobilenetv3_small_050", torch.float64),
        ("mobilefacenet-112", torch.float32),
        ("mobilefacenet-112x96", torch.float32),
    ],
)
def test_folding_keeps_outputs_and_gradients(name: str, dtype: torch.dtype) -> None:
    model = model_of(name).to(dtype)
    before = copy.deepcopy(model.state_dict())
    folded, done = fold_batch_norm(model)
    assert done
    assert norms(folded) == 0
    assert norms(model) > 0
    assert model.input_size is not None
    images = Draws.keyed(0, ["a", "b"]).uniform("x", (3, *model.input_size), dtype=dtype)
    answers = []
    for each in (model, folded):
        leaf = images.clone().requires_grad_()
        outputs = each(leaf)
        (gradient,) = torch.autograd.grad(outputs.square().sum(), leaf)
        answers.append((outputs.detach(), gradient))
    (plain, plain_gradient), (fast, fast_gradient) = answers
    torch.testing.assert_close(fast, plain, rtol=1e-5, atol=1e-5 * float(plain.abs().max()))
    if dtype == torch.float64:
        scale = float(plain_gradient.abs().max())
        torch.testing.assert_close(fast_gradient, plain_gradient, rtol=1e-5, atol=1e-10 * scale)
    # In float32 the last bit can put a unit on the other side of its kink, folded or not.
    assert F.cosine_similarity(fast_gradient.flatten(), plain_gradient.flatten(), 0) > 1 - 1e-5
    # The original is as it was, and the copy is the same model to everyone else.
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert (folded.name, folded.fingerprint) == (model.name, model.fingerprint)
    assert not any(part.training for part in folded.train().modules())
    assert not any(parameter.requires_grad for parameter in folded.parameters())
    if dtype == torch.float32:
        weights = [weight for weight in folded.parameters() if weight.ndim == 4]
        assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights)


class Branching(nn.Module):
    """Cannot be traced: its control flow depends on the data."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.norm(self.conv(images))
        return (features if features.sum() > 0 else -features).mean((2, 3))


class Shared(nn.Module):
    """One convolution called twice, with a batch norm after one call; one output used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.twice, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.forked, self.after = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
        self.fine, self.last = nn.Linear(3, 4), nn.BatchNorm1d(4)

    def forward(self, images: Tensor) -> Tensor:
        features = self.norm(self.twice(self.twice(images)))
        fork = self.forked(features)
        features = F.relu(self.after(fork)) + fork
        outputs: Tensor = self.last(self.fine(features.mean((2, 3))))
        return outputs


def test_what_cannot_be_traced_stays_unfolded() -> None:
    model = adapt(stirred(Branching()))
    images = Draws.keyed(0, ["a"]).uniform("x", (3, 8, 8))
    folded, done = fold_batch_norm(model)
    assert not done
    assert folded is not model
    assert torch.equal(folded(images), model(images))


def test_only_safe_pairs_are_folded() -> None:
    network = stirred(Shared())
    images = Draws.keyed(0, ["a", "b"]).uniform("x", (3, 8, 8))
    folded, done = fold_batch_norm(network)
    assert done
    assert norms(folded) == 2
    torch.testing.assert_close(folded(images), network(images), rtol=1e-5, atol=1e-5)


def test_disagreement_on_the_probe_gives_the_unfolded_copy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import gauntlet.pipeline.models.fold as subject

    real: Callable[..., nn.Module | None] = subject._fuse

    def wrong(layer: nn.Module, norm: nn.Module) -> nn.Module | None:
        fused = real(layer, norm)
        if fused is not None:
            fused.get_parameter("bias").data += 0.1
        return fused

    monkeypatch.setattr(subject, "_fuse", wrong)
    model = model_of("cifar-resnet-20")
    folded, done = fold_batch_norm(model)
    assert not done
    assert norms(folded) == norms(model)


def test_network_without_batch_norm_is_not_called_folded() -> None:
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert not fold_batch_norm(plain).folded
