"""Where five points of an aligned face lie, and the transform that brings a face there."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]
"""Five points, (5, 2): x and y of the eyes, the nose and the corners of the mouth, left ones first;
left means left in the image. Whole numbers are the centres of pixels."""
Transform = npt.NDArray[np.float64]
"""A similarity (2, 3): a point p goes to ``T[:, :2] @ p + T[:, 2]``."""

SIZES = {"112x112": (112, 112), "112x96": (112, 96), "160x160": (160, 160)}
"""Heights and widths of aligned images that face networks take."""

_SIDE = 112
_POINTS = (
    *((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366)),
    *((41.5493, 92.3655), (70.7299, 92.2041)),
)


def template(size: tuple[int, int]) -> Points:
    """Return where the points of an aligned face lie in an image of a height and width.

    They are those of ArcFace's authors for 112 x 112, in proportion to the height; narrower images
    lose as much on the left as on the right, so that 112 x 96 is SphereFace's template.
    """
    height, width = size
    points = np.array(_POINTS) * height / _SIDE
    points[:, 0] -= (height - width) / 2
    return points


def similarity(source: Points, target: Points) -> Transform:
    """Return the rotation, scale and shift that bring points nearest to others, by least squares.

    S. Umeyama, "Least-squares estimation of transformation parameters between two point patterns",
    IEEE Transactions on Pattern Analysis and Machine Intelligence 13(4), 1991, equations 40 to 42.

    Args:
        source: P points, (P, 2).
        target: where they should go, (P, 2).

    Raises:
        ValueError: when the points to be moved are one point.
    """
    mean, wanted = source.mean(0), target.mean(0)
    variance = ((source - mean) ** 2).sum(1).mean()
    if not variance > 0:
        raise ValueError("points that are all in one place have no scale")
    left, stretch, right = np.linalg.svd((target - wanted).T @ (source - mean) / len(source))
    # A mirrored face is no face: the weaker axis is turned back.
    turns = np.array([1.0, np.sign(np.linalg.det(left) * np.linalg.det(right))])
    rotation = left @ np.diag(turns) @ right
    scale = (stretch * turns).sum() / variance
    shift = wanted - scale * rotation @ mean
    return np.column_stack((scale * rotation, shift))


def applied(transform: Transform, points: Points) -> Points:
    """Return where points (P, 2) go."""
    moved: Points = points @ transform[:, :2].T + transform[:, 2]
    return moved
