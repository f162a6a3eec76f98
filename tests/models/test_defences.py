"""The transform defences."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.models.defences.bit_reduction import BitReduction
from gauntlet.pipeline.models.defences.defence import Defence, catalogue
from gauntlet.pipeline.models.defences.jpeg import Jpeg
from gauntlet.pipeline.models.defences.resize_pad import ResizePad
from gauntlet.pipeline.models.description import Description
from gauntlet.pipeline.models.model import Model
from gauntlet.pipeline.models.model_spec import ModelSpec

NAMES = [f"example-{row}" for row in range(6)]


def reduced(bits: int) -> BitReduction:
    return BitReduction(kind="bit-reduction", bits=bits)


def jpeg(quality: int) -> Jpeg:
    return Jpeg(kind="jpeg", quality=quality)


def resized(low: float) -> ResizePad:
    return ResizePad(kind="resize-pad", low=low)


def images(dtype: torch.dtype = torch.float32, side: int = 32) -> Tensor:
    return Draws.keyed(2, NAMES).uniform("images", (3, side, side), dtype=dtype)


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_bit_reduction_rounds_to_its_levels(bits: int) -> None:
    result = reduced(bits)(images())
    steps = 2**bits - 1
    levels = torch.linspace(0, 1, steps + 1)
    assert torch.isin((result * steps).round().long(), torch.arange(steps + 1)).all()
    torch.testing.assert_close(result, levels[(result * steps).round().long()])
    assert (result - images()).abs().max() <= 0.5 / steps + 1e-6
    pixels = (images() * 255).round() / 255
    if bits == 8:
        assert torch.equal(reduced(8)(pixels), pixels)


def test_jpeg_is_a_real_jpeg_of_the_rounded_image() -> None:
    batch = images()
    result = jpeg(75)(batch)
    pixels = (batch * 255).round().to(torch.uint8)
    for image, decoded in zip(pixels, result, strict=True):
        buffer = io.BytesIO()
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(buffer, "JPEG", quality=75)
        expected = np.asarray(Image.open(buffer), dtype=np.float32) / 255
        # Two builds of the same codec may differ by a step or two of rounding.
        assert np.abs(decoded.permute(1, 2, 0).numpy() - expected).max() <= 4 / 255
    assert jpeg(75)(batch[:0]).shape == (0, 3, 32, 32)
    assert (jpeg(95)(batch) - batch).abs().mean() < (jpeg(20)(batch) - batch).abs().mean()


@pytest.mark.parametrize("kind", ["bit-reduction", "jpeg"])
def test_trap_17_straight_through_gradient(kind: str) -> None:
    make = catalogue()[kind]
    weight = images().flip(0)
    gradients = {}
    for how in ("straight-through", "none"):
        leaf = images().requires_grad_()
        result = make.model_validate({"kind": kind, "gradient": how})(leaf)
        (gradients[how],) = torch.autograd.grad((result * weight).sum(), leaf)
        assert torch.equal(result.detach(), make(kind=kind)(images()))
    assert torch.equal(gradients["straight-through"], weight)
    assert not gradients["none"].any()
    # What a person gets without asking is the straight-through gradient, and the spec says so.
    assert "gradient=straight-through" in str(make(kind=kind))


def test_plans_hold_the_first_three_with_the_fields_of_all() -> None:
    every = {"bits": 4, "quality": 75, "low": 0.9, "gradient": "straight-through"}
    for kind, own in (("bit-reduction", "bits"), ("jpeg", "quality"), ("resize-pad", "low")):
        held = {**every, own: 1, "kind": kind}
        spec = ModelSpec.model_validate({"name": "m", "source": "zoo/s1", "defence": held})
        assert spec.model_dump(mode="json")["defence"] == held
        assert ModelSpec.model_validate_json(spec.model_dump_json()) == spec
        assert list(spec.model_dump()["defence"]) == ["kind", *every]


def test_trap_16_randomised_defence_draws_per_example() -> None:
    defence, batch = resized(0.5), images(torch.float64)
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
    result = resized(0.75)(torch.ones(200, 3, 32, 32), Draws.keyed(0, names))
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
    defence = resized(0.5)
    assert torch.autograd.gradcheck(lambda x: defence(x, draws), (leaf,), fast_mode=True)


@pytest.mark.parametrize("defence", [reduced(4), jpeg(75), resized(0.9)])
def test_model_applies_its_defence_first(defence: Defence) -> None:
    class Echo(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            return inputs.flatten(1)

    model = Model(Echo(), Description(defence=defence))
    draws = Draws.keyed(0, NAMES)
    assert torch.equal(model(images(), draws), defence(images(), draws).flatten(1))
    assert model.randomised == isinstance(defence, ResizePad)
    assert model.weights_fingerprint == Model(Echo()).weights_fingerprint
    assert model.fingerprint != Model(Echo()).fingerprint
