"""Images for a look at the models, decoded where the models are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gauntlet.pipeline.data.examples import Examples
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.run.showing import Showing


@dataclass(frozen=True)
class ImageSample:
    """Some single images of a source; holds no pixels, and can be sent to other processes.

    Attributes:
        examples: names the source.
        positions: of the images in it.
        seed: the run's seed.
    """

    examples: Examples
    positions: tuple[int, ...]
    seed: int

    def rows(self, which: slice) -> ImageSample:
        """Return some of the images."""
        return ImageSample(self.examples, self.positions[which], self.seed)

    def decode(self) -> tuple[tuple[int, ...], tuple[str, ...], Showing | None]:
        """Return which images could be decoded, why the others could not, and the images."""
        images: list[Tensor] = []
        rows: list[int] = []
        reasons: list[str] = []
        for row, position in enumerate(self.positions):
            try:
                images.append(self.examples.images([position]))
                rows.append(row)
            except BadInput as error:
                reasons.append(str(error))
        if not images:
            return (), tuple(reasons), None
        names = self.examples.image_names
        ids = tuple(names[self.positions[row]] for row in rows)
        return tuple(rows), tuple(reasons), Showing(torch.cat(images), ids, "clean", self.seed)


def keyed(names: Sequence[str], seed: int, count: int) -> list[int]:
    """Return positions of at most so many names, drawn by hash: the same wherever they stand.

    The first of a longer draw are those of a shorter one.
    """
    bits = Draws.keyed(seed, names).bits("probe").numpy() if names else np.zeros(0)
    order = np.lexsort((np.asarray(names), bits))
    return [int(position) for position in order[:count]]
