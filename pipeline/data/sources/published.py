"""Pairs of faces as the authors of a data set list them: what the published layouts share."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.data.decoding import Fit
from gauntlet.pipeline.data.found import Found
from gauntlet.pipeline.data.listing import Listing
from gauntlet.pipeline.data.lookup import find_files, report_missing
from gauntlet.pipeline.data.people import by_folder
from gauntlet.pipeline.data.sources.paired import (
    PAIRS,
    NamedPair,
    Paired,
    image_names,
    listing_of,
)
from gauntlet.pipeline.data.sources.source import Side, Size
from gauntlet.pipeline.data.stores import FileImages
from gauntlet.pipeline.files import expanded

FOLDS = 10
"""Folds of the published protocols that do not write theirs down."""


@dataclass(frozen=True)
class PairListFile:
    """A published list of pairs, and where its images are.

    Attributes:
        path: the list.
        name: what to call it in problems: as the job has it.
        images: folder that the names of its images start from.
    """

    path: Path
    name: str
    images: Path


class Published(Paired):
    """What every published data set of face pairs has in common."""

    paths: ClassVar[tuple[str, ...]] = ("root", "pairs", "ids")

    root: str
    """The data set's folder, as its authors pack it."""
    pairs: str | None = None
    """The list of pairs; by default where its authors put it in `root`."""
    size: Size = (112, 112)
    """Height and width to resize to (bilinear, antialiased)."""
    crop: Side | None = None
    """Side of a central square that is cut out before the resize, in pixels."""

    @abstractmethod
    def default_pairs(self) -> str:
        """Return where the authors put the list, below the root."""

    @abstractmethod
    def listed(self, file: PairListFile, found: Found) -> list[NamedPair]:
        """Return the pairs of the list, their images by the authors' names.

        Args:
            file: the list, which may not be there.
            found: takes lines of another form.
        """

    def images(self, root: Path) -> Path:
        """Return the folder that the names of images start from."""
        return root

    def image_size(self, base: Path) -> tuple[int, int]:
        """What the images are resized to."""
        return self.size

    def read(self, goal: Goal, base: Path, found: Found) -> Listing | None:
        """Read the list, and find the files of its images."""
        root = base / expanded(self.root)
        if not root.is_dir():
            found.add("data.root", f"no such folder: {root}")
            return None
        given = self.pairs or str(Path(self.root) / self.default_pairs())
        file = PairListFile(base / expanded(given), given, self.images(root))
        pairs = with_files(self.listed(file, found), file, found)
        if not pairs:
            return None
        crop = None if self.crop is None else (self.crop, self.crop)
        names = image_names(pairs)
        store = FileImages(file.images, names, Fit(crop=crop, size=self.size))
        return listing_of(store, pairs, self.attacked_kind(goal), found, by_folder(names))


def with_files(pairs: Sequence[NamedPair], file: PairListFile, found: Found) -> list[NamedPair]:
    """Return the pairs whose images are there, by the paths of their files.

    Args:
        pairs: with images by the names that the list gives them.
        file: the list.
        found: takes the images that are missing.
    """
    ends = [image for pair in pairs for image in (pair.first, pair.second)]
    named = find_files(ends, file.images, file.name, found)
    there = []
    for pair in pairs:
        for image in dict.fromkeys((pair.first, pair.second)):
            if image not in named.files:
                report_missing(named, image, pair.where, file.images, "data.root", PAIRS, found)
        if pair.first in named.files and pair.second in named.files:
            first, second = named.files[pair.first], named.files[pair.second]
            there.append(replace(pair, first=first, second=second))
    return there


def in_blocks(pairs: Sequence[NamedPair], folds: int = FOLDS) -> list[NamedPair]:
    """Return pairs with the folds that their order means: equal blocks of the pairs of each kind.

    So the authors of the lists without folds have them: pair k of the n of one person, and pair k
    of the n of different people, belong to fold 10 k / n.
    """
    sizes = Counter(pair.same for pair in pairs)
    seen: Counter[bool] = Counter()
    placed = []
    for pair in pairs:
        placed.append(replace(pair, fold=seen[pair.same] * folds // sizes[pair.same]))
        seen[pair.same] += 1
    return placed
