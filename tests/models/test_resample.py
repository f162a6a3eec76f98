"""The resize-and-pad matrices against F.interpolate."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.models.resample import Interpolation, resize_pad_matrix


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize("side", [1, 7, 32, 112])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_matrix_equals_interpolate_for_every_size(
    side: int, interpolation: Interpolation, dtype: torch.dtype
) -> None:
    sizes = torch.arange(1, 2 * side + 3)
    canvas = int(sizes.max()) + 3
    offsets = torch.arange(len(sizes)) % 3
    signal = Draws.keyed(0, ["signal"]).uniform("test", (3, side), dtype=dtype)[0]
    matrices = resize_pad_matrix(side, canvas, sizes, offsets, interpolation, dtype, "cpu")
    assert matrices.shape == (len(sizes), canvas, side)
    assert matrices.dtype == dtype
    for matrix, size, offset in zip(matrices, sizes.tolist(), offsets.tolist(), strict=True):
        if interpolation == "bilinear":
            expected = F.interpolate(signal[None], size, mode="linear", align_corners=False)[0]
        else:
            # In float64 torch's own choice between neighbours depends on the shape.
            index = F.interpolate(torch.arange(float(side))[None, None], size)[0, 0].long()
            expected = signal[:, index]
        result = signal @ matrix.T
        tolerance = 1e-12 if dtype == torch.float64 else 2e-5
        torch.testing.assert_close(
            result[:, offset : offset + size], expected, atol=tolerance, rtol=0
        )
        assert not result[:, :offset].any()
        assert not result[:, offset + size :].any()


def test_two_axes_equal_interpolate_of_an_image() -> None:
    image = Draws.keyed(0, ["image"]).uniform("test", (3, 20, 31), dtype=torch.float64)
    vertical = resize_pad_matrix(
        20, 20, torch.tensor([13]), torch.tensor([4]), "bilinear", torch.float64, "cpu"
    )
    horizontal = resize_pad_matrix(
        31, 31, torch.tensor([29]), torch.tensor([0]), "bilinear", torch.float64, "cpu"
    )
    result = vertical[:, None] @ image @ horizontal[:, None].mT
    expected = F.pad(F.interpolate(image, (13, 29), mode="bilinear"), (0, 2, 4, 3))
    torch.testing.assert_close(result, expected, atol=1e-12, rtol=0)


def test_own_size_is_the_identity() -> None:
    whole, none = torch.tensor([9]), torch.tensor([0])
    for interpolation in ("bilinear", "nearest"):
        matrix = resize_pad_matrix(9, 9, whole, none, interpolation, torch.float32, "cpu")
        assert torch.equal(matrix[0], torch.eye(9))


def test_a_size_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="canvas of 9"):
        resize_pad_matrix(
            9, 9, torch.tensor([8]), torch.tensor([2]), "bilinear", torch.float32, "cpu"
        )
