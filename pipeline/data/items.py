"""What a map-style data set gives for an index: an image in one of several forms, and its class."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gauntlet.pipeline.data.decoding import Fit, Pixels, Undecodable, canonical

_WANTED = "expected (image, label)"
_OFF = 1e-3
"""How far from a whole level a value may lie, in levels of 8 bits: rounding errors of float32."""
_COARSEST = 0.3
"""The same where a type is coarser than float32; bfloat16 cannot tell levels from each other."""


def parts(item: Any) -> tuple[Any, int]:
    """Return the image and the class of an item.

    Raises:
        Undecodable: when it is no pair of an image and a whole number.
    """
    if not isinstance(item, tuple | list) or len(item) != 2:
        count = f" of {len(item)}" if isinstance(item, tuple | list) else ""
        raise Undecodable(f"is a {type(item).__name__}{count}, {_WANTED}")
    image, label = item
    if isinstance(label, Tensor):
        label = label.item() if label.numel() == 1 else label
    elif isinstance(label, np.ndarray | np.generic):
        label = label.item() if label.size == 1 else label
    if isinstance(label, bool) or not isinstance(label, int):
        raise Undecodable(f"has the label {label!r:.60}, expected a whole number")
    return image, label


def pixels(image: Any, fit: Fit) -> Pixels:
    """Return an item's image as canonical RGB, uint8 (H, W, 3).

    Taken are PIL images, arrays (H, W), (H, W, 1) or (H, W, 3), and tensors (1, H, W) or
    (3, H, W): of uint8, or of floats in [0, 1] that are levels of 8 bits, as ToTensor makes them.

    Args:
        image: the image.
        fit: how it becomes a canonical one.

    Raises:
        Undecodable: when it is none of these, or does not fit.
    """
    if isinstance(image, Image.Image):
        return canonical(image, fit)
    if isinstance(image, Tensor):
        what, values = (
            f"a tensor of {str(image.dtype).removeprefix('torch.')}",
            image.detach().cpu(),
        )
        if values.ndim != 3 or values.shape[0] not in (1, 3):
            raise Undecodable(f"is {what} {tuple(image.shape)}, expected (3, H, W) or (1, H, W)")
        coarse = 255 * torch.finfo(values.dtype).eps if values.is_floating_point() else 0.0
        if values.is_floating_point():
            values = values.double()
        array = values.numpy().transpose(1, 2, 0)
    elif isinstance(image, np.ndarray):
        what, array = f"an array of {image.dtype}", image[..., None] if image.ndim == 2 else image
        if array.ndim != 3 or array.shape[2] not in (1, 3):
            raise Undecodable(f"is {what} {image.shape}, expected (H, W, 3), (H, W, 1) or (H, W)")
        coarse = 255 * float(np.finfo(array.dtype).eps) if array.dtype.kind == "f" else 0.0
    else:
        raise Undecodable(
            f"has a {type(image).__name__} as its image, expected a PIL image, array or tensor"
        )
    if array.dtype.kind == "f" and array.size:
        array = _levels(array.astype(np.float64), what, max(_OFF, coarse))
    if array.dtype != np.uint8 or not array.size:
        raise Undecodable(f"is {what} {tuple(image.shape)}, expected uint8, or floats in [0, 1]")
    grey = array[..., 0] if array.shape[2] == 1 else np.ascontiguousarray(array)
    return canonical(Image.fromarray(grey), fit)


def _levels(values: np.ndarray, what: str, off: float) -> Pixels:
    """Return floats in [0, 1] as the levels of 8 bits that they are."""
    if off > _COARSEST:
        raise Undecodable(f"is {what}, which is too coarse for 8 bits: return uint8")
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= 1):
        raise Undecodable(
            f"is {what} with values from {low:.3g} to {high:.3g}, expected 0 to 1: leave "
            "normalisation out of its transform, each model has its own"
        )
    levels = (255 * values).round()
    apart = np.abs(255 * values - levels)
    if apart.max() > off:
        worst = values.flat[int(apart.argmax())]
        raise Undecodable(
            f"is {what} that is not 8-bit: {worst:.5g} is {255 * worst:.2f}/255; leave resizing "
            "and other filters out of its transform (the job has `size`), or return uint8"
        )
    return levels.astype(np.uint8)
