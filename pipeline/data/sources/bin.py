"""Packs of aligned face pairs, as insightface and its followers hand them out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.data.decoding import Fit, Pixels, decode, size_of
from gauntlet.pipeline.data.found import Found
from gauntlet.pipeline.data.listing import Listing
from gauntlet.pipeline.data.pack import read_pack
from gauntlet.pipeline.data.sources.paired import NamedPair, Paired, listing_of
from gauntlet.pipeline.data.sources.source import Size, register
from gauntlet.pipeline.data.stores import ImageStore, numbered
from gauntlet.pipeline.files import expanded
from gauntlet.pipeline.problems import BadInput


@register
class Bin(Paired):
    """A pack of face pairs: `lfw.bin`, `calfw.bin`, `cplfw.bin`, `agedb_30.bin`, `cfp_fp.bin`. They
    are pickles; lists, bytes and booleans are read, and nothing in them is run."""

    paths: ClassVar[tuple[str, ...]] = ("path", "ids")
    source: Literal["bin"]
    """Kind of source."""
    path: str
    """The pack."""
    folds: int = Field(10, ge=2)
    """The pairs in order are this many equal blocks: folds of the threshold protocol."""
    size: Size | None = None
    """Height and width to resize to (bilinear, antialiased); by default all must have one size."""

    def image_size(self, base: Path) -> tuple[int, int] | None:
        """What the images are resized to, or the first one's size by its header."""
        if self.size is not None:
            return self.size
        try:
            return size_of(read_pack(base / expanded(self.path))[0][0])
        except BadInput:
            return None

    def read(self, goal: Goal, base: Path, found: Found) -> Listing | None:
        """Read the pack's list of pairs."""
        path = base / expanded(self.path)
        images, same = read_pack(path)
        if len(same) < self.folds:
            found.add("data.folds", f"{len(same)} pairs cannot be {self.folds} folds")
            return None
        first = size_of(images[0])
        expect = (first, f"{path.stem}/0") if first is not None and self.size is None else None
        store = PackedImages(path, len(images), Fit(size=self.size, expect=expect))
        names = store.names
        pairs = [
            NamedPair(
                first=names[2 * row],
                second=names[2 * row + 1],
                same=flag,
                fold=row * self.folds // len(same),
                where=f"{self.path}: pair {row}",
            )
            for row, flag in enumerate(same)
        ]
        return listing_of(store, pairs, self.attacked_kind(goal), found)


@dataclass(frozen=True)
class PackedImages(ImageStore):
    """The image files in a pack; ``lfw/17`` is the name of the one at index 17.

    Attributes:
        path: the pack.
        count: number of images.
        fit: how a decoded image becomes a canonical one.
    """

    path: Path
    count: int
    fit: Fit = field(default_factory=Fit)
    may_fail: ClassVar[bool] = True

    @property
    def names(self) -> Sequence[str]:
        """``pack/index``."""
        return numbered(self.path.stem, self.count)

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Height and width after the fit."""
        return self.fit.image_size

    def read(self, position: int) -> Pixels:
        """Decode an image."""
        return decode(read_pack(self.path)[0][position], self.fit)

    def fingerprint(self, positions: Sequence[int]) -> str:
        """Return a hash of the image files' contents and of the fit."""
        images = read_pack(self.path)[0]
        digest = hashlib.blake2b(repr(self.fit).encode(), digest_size=16)
        for position in positions:
            digest.update(hashlib.blake2b(images[position]).digest())
        return digest.hexdigest()
