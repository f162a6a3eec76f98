"""Labelled images in a NumPy archive."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.data import archive
from gauntlet.pipeline.data.found import Found
from gauntlet.pipeline.data.label_array import label_array
from gauntlet.pipeline.data.listing import Listing
from gauntlet.pipeline.data.sources.labelled import Numbered, listing_of
from gauntlet.pipeline.data.sources.source import register
from gauntlet.pipeline.data.stores import ArchiveImages
from gauntlet.pipeline.files import expanded

WANTED = "wanted"
"""Name of an archive's array of wanted classes."""


@register
class Npz(Numbered):
    """Labelled images in one NumPy archive; its array `wanted`, if any, holds wanted classes."""

    paths: ClassVar[tuple[str, ...]] = ("path", "ids")
    source: Literal["npz"]
    """Kind of source."""
    path: str
    """The .npz file. Its images are read from it a batch at a time where it was saved without
    compression; larger ones than 64 MiB that are compressed are unfolded once into the cache."""
    images: str = "images"
    """Name of the array of images in it: uint8, (N, H, W, 3), RGB."""
    labels: str = "labels"
    """Name of the array of classes in it: whole numbers, (N,) or (N, 1), or one-hot rows (N, C)."""
    classes: int | None = Field(None, ge=2)
    """Number of classes; by default the length of the archive's `classes` or of one-hot rows, or
    highest label + 1."""

    def image_size(self, base: Path) -> tuple[int, int] | None:
        """By the archive's header."""
        return archive.image_size(base / expanded(self.path), self.images)

    def labelled(self, goal: Goal, base: Path, found: Found) -> Listing | None:
        """Read labels, wanted classes and names of classes."""
        path = base / expanded(self.path)
        known = archive.headers(path, "data.path", found)
        if known is None:
            return None
        shape = archive.check_images(known, self.images, "data.images", found)
        count = shape[0] if shape else None
        read = label_array(path, known, self.labels, "data.labels", count, found)
        if read is None or shape is None:
            return None
        values, classes = read
        wanted = None
        if WANTED in known and self.takes_listed(goal):
            wanted_read = label_array(path, known, WANTED, "data.wanted", count, found)
            if wanted_read is None:
                return None
            wanted = wanted_read[0] - self.first_class
            found.note(f"{self.path}: wanted classes are its array {WANTED!r}")
        names: tuple[str, ...] = ()
        if "classes" in known and len(known["classes"].shape) == 1:
            classes = known["classes"].shape[0]
            if known["classes"].dtype.kind == "U":
                names = tuple(map(str, archive.array(path, "classes")))
        places = [f"{self.path}: {self.labels}[{index}]" for index in range(shape[0])]
        return listing_of(
            ArchiveImages(path, self.images, shape[0]),
            values - self.first_class,
            self.classes or classes,
            places,
            found,
            names,
            wanted,
        )
