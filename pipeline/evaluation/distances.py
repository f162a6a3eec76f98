"""How far an adversarial image is from its clean one, in 8-bit steps (specification 5.1)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import Tensor

Distances = npt.NDArray[np.float64]


def linf_distance(images: Tensor, clean: Tensor) -> Distances:
    """Return the largest change of a pixel, ``255 * max|x_adv - x|``, float64 (B,).

    Args:
        images: evaluated images, (B, C, H, W) in [0, 1].
        clean: clean images, same shape.

    Raises:
        ValueError: when the shapes differ.
    """
    steps = _steps(_difference(images, clean).abs().amax(1))
    # Eight-bit images held in float32 are off by about 1e-5 steps; people compare with <= 8.
    near = np.round(steps)
    return np.where(np.abs(steps - near) < 2e-5, near, steps)


def l2_distance(images: Tensor, clean: Tensor) -> Distances:
    """Return RobFR's l2, ``255 * ||x_adv - x||_2 / sqrt(3HW)``, float64 (B,).

    Args:
        images: evaluated images, (B, C, H, W) in [0, 1].
        clean: clean images, same shape.

    Raises:
        ValueError: when the shapes differ.
    """
    return _steps(_difference(images, clean).square().mean(1).sqrt())


def _difference(images: Tensor, clean: Tensor) -> Tensor:
    if images.shape != clean.shape:
        raise ValueError(
            f"images have shape {tuple(images.shape)}, clean ones {tuple(clean.shape)}"
        )
    return (images.double() - clean.double()).flatten(1)


def _steps(values: Tensor) -> Distances:
    steps: Distances = 255.0 * values.detach().cpu().numpy()
    return steps
