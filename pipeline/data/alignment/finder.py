"""Finding the face in a photograph, and its eyes, nose and mouth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from gauntlet.pipeline.data.alignment.template import Points
from gauntlet.pipeline.problems import BadInput, Problem

LEAST, MOST = 336, 1024
"""Pixels that the longer side of an image has when faces are looked for in it."""
CONFIDENT = 0.9
"""MTCNN's confidence from which on something is a face."""
_OFF_CENTRE = 2.0
"""What the squared distance to the image's centre counts against the area of a face."""


@dataclass(frozen=True)
class Face:
    """A face in an image.

    Attributes:
        points: its five landmarks, in pixels of the image, (5, 2).
        confidence: MTCNN's, up to 1.
    """

    points: Points
    confidence: float


class FaceFinder:
    """MTCNN: K. Zhang et al., "Joint Face Detection and Alignment Using Multitask Cascaded
    Convolutional Networks", IEEE Signal Processing Letters 23(10), 2016; with the weights that
    facenet-pytorch brings along.
    """

    def __init__(self) -> None:
        """Load the three networks, on the CPU.

        Raises:
            BadInput: when their files are missing or damaged.
        """
        try:
            from facenet_pytorch import MTCNN

            self._mtcnn: Any = MTCNN(keep_all=True)
        except Exception as error:  # what torch raises on damaged files has no common type
            what = f"MTCNN cannot be loaded: {error}; its weights come with facenet-pytorch: "
            raise BadInput(
                Problem("facenet-pytorch", f"{what}pip install --force-reinstall facenet-pytorch")
            ) from None

    def find(self, image: Image.Image) -> Face | None:
        """Return the face of an image, or None where none is sure.

        Of several the one counts whose area, less twice the squared distance of its centre to that
        of the image, is largest. Images are shrunk to 1024 pixels on the longer side before faces
        are looked for, and small ones enlarged: MTCNN finds none below 20 pixels.

        Args:
            image: RGB.
        """
        longer = max(image.size)
        scale = min(max(longer, LEAST), MOST) / longer
        width, height = (max(1, round(scale * side)) for side in image.size)
        seen = image.resize((width, height), Image.Resampling.BILINEAR) if scale != 1 else image
        try:
            boxes, confidences, points = self._mtcnn.detect(np.asarray(seen), landmarks=True)
        except (RuntimeError, ValueError, IndexError):
            return None  # nothing that any of the three networks took for a face
        if boxes is None:
            return None
        boxes, sure = np.asarray(boxes, np.float64), np.asarray(confidences, np.float64)
        corners, ends = boxes[:, :2], boxes[:, 2:4]
        off = ((corners + ends - (width, height)) ** 2).sum(1) / 4
        rank = (ends - corners).prod(1) - _OFF_CENTRE * off
        rank[sure < CONFIDENT] = -np.inf
        best = int(rank.argmax())
        if sure[best] < CONFIDENT:
            return None
        found = np.asarray(points[best], np.float64)
        stretch = np.divide(image.size, (width, height))
        return Face((found + 0.5) * stretch - 0.5, float(sure[best]))


def in_one_thread() -> None:
    """Have this process compute in one thread: many of them share the cores."""
    torch.set_num_threads(1)
