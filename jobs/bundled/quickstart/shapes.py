"""Images of drawn shapes: eight classes, made from a seed, owing nothing to any data set."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

CLASSES = ("disc", "ring", "square", "frame", "triangle", "cross", "bar", "pair")
SIDE = 32

Reals = npt.NDArray[np.float64]


def draw(count: int, seed: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return images and labels.

    A shape of random place, size, angle and colour lies on a background of smooth clutter, under
    noise: enough that networks of different build see it differently.

    Args:
        count: number of images.
        seed: of the generator.

    Returns:
        uint8 (count, 32, 32, 3), RGB, and int64 (count,).
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(CLASSES), count)
    ink = _inside(labels, rng)[..., None]
    background, colour = rng.uniform(0.15, 0.85, (2, count, 1, 1, 3))
    # Keep shape and ground apart in at least one channel.
    shift = np.where(background > 0.5, -0.18, 0.18)
    colour = 0.45 * colour + 0.55 * background + shift
    images = background + _clutter(count, rng)
    images = (1 - ink) * images + ink * (colour + 0.4 * _clutter(count, rng))
    images += rng.normal(0, 0.04, images.shape)
    return (images.clip(0, 1) * 255).round().astype(np.uint8), labels.astype(np.int64)


def _inside(labels: npt.NDArray[np.int64], rng: np.random.Generator) -> Reals:
    """Return how much of each pixel the shape covers, (count, 32, 32)."""
    count = len(labels)
    axis = np.arange(SIDE) + 0.5
    centre = rng.uniform(11, 21, (2, count, 1, 1))
    size = rng.uniform(6.5, 10, (count, 1, 1))
    angle = rng.uniform(-np.pi, np.pi, (count, 1, 1))
    down, right = axis[None, :, None] - centre[0], axis[None, None, :] - centre[1]
    x = (np.cos(angle) * right + np.sin(angle) * down) / size
    y = (np.cos(angle) * down - np.sin(angle) * right) / size
    radius = np.hypot(x, y)
    box = np.maximum(np.abs(x), np.abs(y))
    corner = np.maximum(np.abs(x) * 0.87 + y * 0.5, -y) - 0.45
    cross = np.minimum(
        np.maximum(np.abs(x) - 1, np.abs(y) - 0.3), np.maximum(np.abs(y) - 1, np.abs(x) - 0.3)
    )
    bar = np.maximum(np.abs(x) - 1.05, np.abs(y) - 0.33)
    pair = np.minimum(np.hypot(x - 0.6, y), np.hypot(x + 0.6, y)) - 0.42
    distance = np.stack(
        [
            radius - 0.85,
            np.abs(radius - 0.75) - 0.2,
            box - 0.75,
            np.abs(box - 0.7) - 0.17,
            corner,
            cross,
            bar,
            pair,
        ]
    )
    chosen = distance[labels, np.arange(count)]
    return np.clip(0.5 - chosen * size, 0, 1)


def _clutter(count: int, rng: np.random.Generator) -> Reals:
    """Return smooth random texture, (count, 32, 32, 3)."""
    coarse = rng.normal(0, 0.09, (count, 8, 8, 3))
    return np.asarray(coarse.repeat(4, axis=1).repeat(4, axis=2))
