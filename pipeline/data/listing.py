"""What a source holds, before anything is chosen from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from gauntlet.pipeline.data.stores import ImageStore

Positions = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class PairRows:
    """All P pairs of a list, for thresholds.

    Attributes:
        first: positions of the first images in the store, (P,).
        second: positions of the second images, (P,).
        same: whether both show one person, (P,).
        fold: fold of each pair, (P,).
    """

    first: Positions
    second: Positions
    same: Flags
    fold: Positions


@dataclass(frozen=True)
class Listing:
    """N examples by name, and where their images are.

    Attributes:
        store: the images.
        ids: unique names of the examples.
        first: position in the store of each example's image, (N,).
        labels: true classes, (N,); classification only.
        classes: number of classes; classification only.
        class_names: name of each class, empty where there is none; classification only.
        wanted: class that the source says an attacker wants, (N,); where it says so only.
        second: position of each example's reference image, (N,); pairs and galleries only.
        pairs: the whole list of pairs, whichever are examples; pairs only.
        people: whom each image of the store shows; pairs only, where the source tells.
    """

    store: ImageStore
    ids: tuple[str, ...]
    first: Positions
    labels: Positions | None = None
    classes: int | None = None
    class_names: tuple[str, ...] = ()
    wanted: Positions | None = None
    second: Positions | None = None
    pairs: PairRows | None = None
    people: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, positions: Sequence[int] | Positions) -> Listing:
        """Return the examples at some positions, in that order."""
        index = np.asarray(positions, dtype=np.int64)
        return replace(
            self,
            ids=tuple(self.ids[i] for i in index.tolist()),
            first=self.first[index],
            labels=None if self.labels is None else self.labels[index],
            wanted=None if self.wanted is None else self.wanted[index],
            second=None if self.second is None else self.second[index],
        )
