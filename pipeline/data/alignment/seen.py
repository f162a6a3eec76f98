"""Whether images show faces, and show them as aligned ones lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from gauntlet.pipeline.data.alignment.finder import FaceFinder
from gauntlet.pipeline.data.alignment.template import template
from gauntlet.pipeline.data.decoding import Undecodable
from gauntlet.pipeline.data.examples import Examples

APART = 0.08
"""Share of the height from which on a face is not where an aligned one is. Of most aligned
faces it is 0.03 to 0.06: people differ, and the template is one."""


@dataclass(frozen=True)
class SeenFaces:
    """What a look for faces found.

    Attributes:
        images: how many images were looked at.
        distances: of each face that was found, the mean distance of its five points from the
            template of its image's size, as a share of the height.
    """

    images: int
    distances: tuple[float, ...]

    @property
    def aligned(self) -> int:
        """How many of the images show a face where an aligned one is."""
        return sum(distance < APART for distance in self.distances)

    def __str__(self) -> str:
        found = len(self.distances)
        text = f"of {self.images:,} images looked at, a face was found in {found:,}"
        if found:
            text += (
                f"; eyes, nose and mouth lie {100 * np.median(self.distances):.1f} % of the height "
                "from the five-point template (median)"
            )
        if 2 * self.aligned > self.images:
            return text
        return f"{text}: these seem to be no aligned faces, see `gauntlet data align`"


def look_for_faces(examples: Examples, most: int) -> SeenFaces:
    """Return where faces are in some images of a source, spread over it, as networks get them.

    Args:
        examples: names the source.
        most: images to look at.

    Raises:
        BadInput: as `FaceFinder`.
    """
    store = examples.listing.store
    finder, images, distances = FaceFinder(), 0, []
    for position in np.linspace(0, len(store.names) - 1, min(most, len(store.names))).round():
        try:
            pixels = store.read(int(position))
        except Undecodable:
            continue  # said elsewhere
        images += 1
        face = finder.find(Image.fromarray(pixels))
        if face is not None:
            height, width, _ = pixels.shape
            off = np.linalg.norm(face.points - template((height, width)), axis=1).mean()
            distances.append(float(off) / height)
    return SeenFaces(images, tuple(distances))
