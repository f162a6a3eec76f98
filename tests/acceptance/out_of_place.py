"""Faces put out of place by a known similarity, and how well alignment brings them back.

`python -m tests.acceptance.out_of_place DATA` prints the figures for all of ORL's faces.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import affine_transform

from gauntlet.pipeline.data.alignment.finder import FaceFinder
from gauntlet.pipeline.data.alignment.template import (
    Transform,
    applied,
    similarity,
    template,
)
from gauntlet.pipeline.data.decoding import Pixels
from gauntlet.pipeline.draws import Draws

SIZE = (112, 112)
CANVAS, GREY, SHIFT = 288, 128, 30
"""Side of the grey canvas, its level, and how far from its centre a face is put, in pixels."""


@dataclass(frozen=True)
class OutOfPlace:
    """A face somewhere on a grey canvas.

    Attributes:
        image: the canvas.
        transform: from pixels of the aligned face to those of the canvas.
    """

    image: Image.Image
    transform: Transform


def out_of_place(pixels: Pixels, name: str, seed: int = 0) -> OutOfPlace:
    """Turn a face by up to 20 degrees, scale it by 0.6 to 1.4, and shift it; keyed by its name."""
    draws = Draws.keyed(seed, [name])
    angle, scale, right, down = (
        low + (high - low) * float(draws.uniform(what))
        for what, low, high in (
            ("angle", -20.0, 20.0),
            ("scale", 0.6, 1.4),
            ("right", -SHIFT, SHIFT),
            ("down", -SHIFT, SHIFT),
        )
    )
    turn = np.deg2rad(angle)
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    centre = (np.array(pixels.shape[1::-1]) - 1) / 2
    shift = (CANVAS - 1) / 2 + np.array([right, down]) - linear @ centre
    # SciPy, which the aligner does not use, in (row, column) order.
    back = np.linalg.inv(linear)[::-1, ::-1]
    layers = [
        affine_transform(
            layer.astype(float), back, -back @ shift[::-1], (CANVAS, CANVAS), order=3, cval=GREY
        )
        for layer in np.moveaxis(pixels, 2, 0)
    ]
    canvas = np.stack(layers, 2).round().clip(0, 255).astype(np.uint8)
    return OutOfPlace(Image.fromarray(canvas), np.column_stack((linear, shift)))


def distances(images: np.ndarray, names: list[str], moved: bool) -> Iterator[float | None]:
    """Yield how far the template's points lie from where they were, in pixels, after the way back.

    The mean of five; None where no face is found. What is measured is geometry alone: where the
    known transform and then the found one take the points.

    Args:
        images: aligned faces, uint8 (N, 112, 112, 3).
        names: of each.
        moved: put out of place; else as they are, which shows what the landmarks themselves cost.
    """
    finder, points = FaceFinder(), template(SIZE)
    for pixels, name in zip(images, names, strict=True):
        there = OutOfPlace(Image.fromarray(pixels), np.eye(2, 3))
        if moved:
            there = out_of_place(pixels, name)
        face = finder.find(there.image)
        if face is None:
            yield None
            continue
        back = applied(similarity(face.points, points), applied(there.transform, points))
        yield float(np.linalg.norm(back - points, axis=1).mean())


def main(root: Path) -> None:
    """Print the figures."""
    with np.load(root / "orl-faces-112.npz") as archive:
        images, names = archive["images"], archive["files"].tolist()
    for moved in (False, True):
        found = list(distances(images, names, moved))
        there = np.array([distance for distance in found if distance is not None])
        what = "out of place" if moved else "as they are"
        print(
            f"{what}: found {len(there)} of {len(found)}; mean landmark distance "
            f"{there.mean():.2f} px, median {np.median(there):.2f}, "
            f"95 % below {np.percentile(there, 95):.2f}, largest {there.max():.2f}"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
