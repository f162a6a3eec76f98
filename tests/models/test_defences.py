"""The transform defences."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.models.adapter import Model
from gauntlet.pipeline.models.defences import (
    BitReduction,
    Jpeg,
    ResizePad,
    TransformDefence,
    make_defence,
)
from gauntlet.pipeline.models.spec import Defence

NAMES = [f"example-{row}" for row in range(6)]


def images(dtype: torch.dtype = torch.float32, side: int = 32) -> Tensor:
    return Draws.keyed(2, NAMES).uniform("images", (3, side, side), dtype=dtype)


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_bit_reduction_rounds_to_its_levels(bits: int) -> None:
    result = BitReduction(bits)(images())
    steps = 2**bits - 1
    levels = torch.linspace(0, 1, steps + 1)
    assert torch.isin((result * steps).round().long(), torch.arange(steps + 1)).all()
    torch.testing.assert_close(result, levels[(result * steps).round().long()])
    assert (result - images()).abs().max() <= 0.5 / steps + 1e-6
    pixels = (images() * 255).round() / 255
    if bits == 8:
        assert torch.equal(BitReduction(8)(pixels), pixels)


def test_jpeg_is_a_real_jpeg_of_the_rounded_image() -> None:
    batch = images()
    result = Jpeg(75)(batch)
    pixels = (batch * 255).round().to(torch.uint8)
    for image, decoded in zip(pixels, result, strict=True):
        buffer = io.BytesIO()
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(buffer, "JPEG", quality=75)
        expected = np.asarray(Image.open(buffer), dtype=np.float32) / 255
        # Two builds of the same codec may differ by a step or two of rounding.
        assert np.abs(decoded.permute(1, 2, 0).numpy() - expected).max() <= 4 / 255
    assert Jpeg(75)(batch[:0]).shape == (0, 3, 32, 32)
    assert (Jpeg(95)(batch) - batch).abs().mean() < (Jpeg(20)(batch) - batch).abs().mean()


@pytest.mark.parametrize("make", [BitReduction, Jpeg])
def test_trap_17_straight_through_gradient(make: type[BitReduction] | type[Jpeg]) -> None:
    weight = images().flip(0)
    gradients = {}
    for how in ("straight-through", "none"):
        leaf = images().requires_grad_()
        result = make(4, how)(leaf)  # type: ignore[arg-type]
        (gradients[how],) = torch.autograd.grad((result * weight).sum(), leaf)
        assert torch.equal(result.detach(), make(4)(images()))
    assert torch.equal(gradients["straight-through"], weight)
    assert not gradients["none"].any()
    # What a person gets without asking is the straight-through gradient, and the spec says so.
    kind = "jpeg" if make is Jpeg else "bit-reduction"
    assert "gradient=straight-through" in str(make_defence(Defence(kind=kind)))  # type: ignore[arg-type]


def test_trap_16_randomised_defence_draws_per_example() -> None:
    defence, batch = ResizePad(0.5), images(torch.float64)
    draws = Draws.keyed(0, NAMES)
    together = defence(batch, draws)
    assert defence.randomised
    # The batch that an example travels in changes nothing: alone, in another order, in part.
    for row in range(len(NAMES)):
        alone = defence(batch[row : row + 1], Draws.keyed(0, NAMES[row : row + 1]))
        torch.testing.assert_close(alone[0], together[row], atol=1e-12, rtol=0)
    order = torch.tensor([4, 1, 3])
    torch.testing.assert_close(
        defence(batch[order], draws.rows(order)), together[order], atol=1e-12, rtol=0
    )
    # Examples draw for themselves, and another seed, step or model draws anew.
    same = defence(batch[:1].expand_as(batch), draws)
    assert len({image.numpy().tobytes() for image in same}) >= 4
    for other in (Draws.keyed(1, NAMES), Draws.keyed(0, NAMES, step=1)):
        assert not torch.equal(defence(batch, other), together)
    # Without draws it refuses instead of drawing from a global generator.
    with pytest.raises(ValueError, match="draws keyed by example"):
        defence(batch, None)
    with pytest.raises(ValueError, match="6 images, got 2 streams"):
        defence(batch, Draws.keyed(0, NAMES[:2]))


def test_resize_pad_pads_with_zeros_around_a_smaller_image() -> None:
    names = [str(row) for row in range(200)]
    result = ResizePad(0.75)(torch.ones(200, 3, 32, 32), Draws.keyed(0, names))
    sizes = result[:, 0].amax(1).round().sum(1)
    assert sizes.min() == 24
    assert sizes.max() == 32
    assert len(sizes.unique()) == 9
    inside = result > 0.5
    torch.testing.assert_close(result[inside], torch.ones(int(inside.sum())))
    assert not result[~inside].any()


def test_resize_pad_is_differentiable() -> None:
    draws = Draws.keyed(0, NAMES)
    leaf = images(torch.float64, side=6).requires_grad_()
    defence = ResizePad(0.5)
    assert torch.autograd.gradcheck(lambda x: defence(x, draws), (leaf,), fast_mode=True)


@pytest.mark.parametrize("defence", [BitReduction(4), Jpeg(75), ResizePad(0.9)])
def test_model_applies_its_defence_first(defence: TransformDefence) -> None:
    class Echo(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            return inputs.flatten(1)

    model = Model(Echo(), defence=defence)
    draws = Draws.keyed(0, NAMES)
    assert torch.equal(model(images(), draws), defence(images(), draws).flatten(1))
    assert model.randomised == isinstance(defence, ResizePad)
    assert model.weights_fingerprint == Model(Echo()).weights_fingerprint
    assert model.fingerprint != Model(Echo()).fingerprint
