"""Moved images: each pixel goes where the transform takes it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from gauntlet.pipeline.data.alignment.warp import warped

WAVE = 0.15


def waves(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A smooth pattern, levels of 8 bits."""
    return 127 + 60 * np.sin(WAVE * x) + 60 * np.cos(WAVE * y)


@pytest.mark.parametrize(("degrees", "scale"), [(0, 1), (17, 1.3), (-20, 0.6), (5, 0.3), (0, 0.25)])
def test_a_pixel_goes_where_the_transform_takes_it(degrees: float, scale: float) -> None:
    side = 400
    rows, columns = np.mgrid[:side, :side]
    grey = waves(scale * columns, scale * rows).astype(np.uint8)
    image = Image.fromarray(np.repeat(grey[..., None], 3, 2))
    turn = np.deg2rad(degrees)
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    shift = np.array([30.25, 24.5]) - linear @ (side / 2, side / 2)
    found = np.asarray(warped(image, np.column_stack((linear, shift)), (48, 60)))
    assert found.shape == (48, 60, 3)
    y, x = np.mgrid[:48, :60]
    back = np.linalg.inv(linear) @ (np.stack((x.ravel(), y.ravel())) - shift[:, None])
    expected = waves(*(scale * back)).reshape(48, 60)
    assert np.abs(found[..., 0] - expected).max() < 4


def test_what_lies_outside_is_black() -> None:
    white = Image.new("RGB", (20, 20), "white")
    found = np.asarray(warped(white, np.array([[1.0, 0, 10], [0, 1, 0]]), (20, 40)))
    assert (found[:, :9] == 0).all()
    assert (found[:, 11:29] == 255).all()
    assert (found[:, 31:] == 0).all()
