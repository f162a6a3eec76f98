"""An image as a similarity transform moves it."""

from __future__ import annotations

import numpy as np
from PIL import Image

from gauntlet.pipeline.data.alignment.template import Transform

_HALF = 0.5
"""Pillow counts from the corner of a pixel, a `Transform` from its centre."""


def warped(image: Image.Image, transform: Transform, size: tuple[int, int]) -> Image.Image:
    """Return what a transform brings into an image of a size; what lies outside is black.

    Bicubic. Where the face becomes smaller than half, the image is averaged over whole blocks
    first: interpolation alone would skip pixels.

    Args:
        image: RGB.
        transform: from pixels of the image to those of the result.
        size: height and width of the result.
    """
    linear, shift = transform[:, :2], transform[:, 2]
    blocks = max(1, int(1 / np.sqrt(np.linalg.det(linear))))
    if blocks > 1:
        image = image.reduce(blocks)
        shift = shift + linear @ np.full(2, (blocks - 1) / 2)
        linear = linear * blocks
    back = np.linalg.inv(linear)
    offset = -back @ shift + _HALF - back @ np.full(2, _HALF)
    (a, b), (d, e) = back
    height, width = size
    return image.transform(
        (width, height),
        Image.Transform.AFFINE,
        (a, b, offset[0], d, e, offset[1]),
        resample=Image.Resampling.BICUBIC,
    )
