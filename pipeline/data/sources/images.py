"""Images by themselves, for attacks on embeddings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import torch
from pydantic import Field

from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.data.found import Found
from gauntlet.pipeline.data.listing import Listing
from gauntlet.pipeline.data.people import People, by_folder, read_people
from gauntlet.pipeline.data.sources.paired import NamedPair, Paired, listing_of
from gauntlet.pipeline.data.sources.source import Size, register
from gauntlet.pipeline.data.stores import FileImages, one_size
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.files import expanded


@register
class Images(Paired):
    """Image files without a list. Dodging takes each away from itself, impersonation near another
    one, drawn by hash: of another person, where each has a sub-folder. As a gallery, all of them.
    """

    paths: ClassVar[tuple[str, ...]] = ("root", "ids")
    source: Literal["images"]
    """Kind of source."""
    root: str
    """Folder of images; with sub-folders each is a person, or whatever else is one."""
    drawn: int = Field(0, ge=0)
    """Seed of the pairs; the run's seed changes none."""
    size: Size | None = None
    """Height and width to resize to (bilinear, antialiased); by default all must have one size."""

    def image_size(self, base: Path) -> tuple[int, int] | None:
        """What the images are resized to, if they are."""
        return self.size

    def as_gallery(self) -> Images:
        """Return the images by themselves: a gallery has no pairs."""
        return self.model_copy(update={"kind": "same"})

    def read(self, goal: Goal, base: Path, found: Found) -> Listing | None:
        """Pair each image with itself, or with one of another person."""
        root = base / expanded(self.root)
        people = read_people(root, "data.root", found)
        kind = self.attacked_kind(goal)
        if kind == "different" and len(people) == 1:
            found.add("data.root", f"{root} has one person, and nobody to be taken for")
        if found:
            return None
        names = tuple(image for images in people.values() for image in images)
        pairs = list(self._different(people, names) if kind == "different" else _same(names))
        store = FileImages(root, names, one_size(root, names, self.size))
        return listing_of(store, pairs, kind, found, by_folder(names))

    def _different(self, people: People, names: Sequence[str]) -> Iterator[NamedPair]:
        """Yield each image with one of another person's."""
        draws = Draws.keyed(self.drawn, names, attack="images")
        shares = iter(draws.uniform("another", dtype=torch.float64).tolist())
        begin = 0
        for images in people.values():
            for image in images:
                place = int(next(shares) * (len(names) - len(images)))
                other = names[place + (len(images) if place >= begin else 0)]
                yield NamedPair(image, other, False, 0, image)
            begin += len(images)


def _same(names: Sequence[str]) -> Iterator[NamedPair]:
    return (NamedPair(name, name, True, 0, name) for name in names)
