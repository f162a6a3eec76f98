"""Attackers and victims in two folders, as a red team has them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.data.account import first_names
from gauntlet.pipeline.data.found import Found
from gauntlet.pipeline.data.listing import Listing
from gauntlet.pipeline.data.people import People, by_folder, portraits, read_people
from gauntlet.pipeline.data.sources.paired import NamedPair, Paired, image_names, listing_of
from gauntlet.pipeline.data.sources.source import Size, register
from gauntlet.pipeline.data.stores import FileImages, one_size
from gauntlet.pipeline.files import expanded


@register
class RedTeam(Paired):
    """Every photograph of an attacker against every victim. There are no pairs of one person: a
    threshold comes from other pairs, or stands with each model."""

    paths: ClassVar[tuple[str, ...]] = ("attackers", "victims", "ids")
    source: Literal["red-team"]
    """Kind of source."""
    attackers: str
    """Folder of the people who attack, a sub-folder or an image for each."""
    victims: str
    """Folder of the people whom they want to be taken for, in the same form."""
    gallery: Literal["one", "all"] = "one"
    """`one`: one photograph stands for each victim, drawn by hash of the name. `all`: every
    photograph of a victim is attacked by itself."""
    size: Size | None = None
    """Height and width to resize to (bilinear, antialiased); by default all must have one size."""

    def image_size(self, base: Path) -> tuple[int, int] | None:
        """What the images are resized to, if they are."""
        return self.size

    def read(self, goal: Goal, base: Path, found: Found) -> Listing | None:
        """Pair every attacker's photographs with every victim."""
        folders = [base / expanded(given) for given in (self.attackers, self.victims)]
        attackers = read_people(folders[0], "data.attackers", found)
        victims = read_people(folders[1], "data.victims", found)
        if both := sorted(attackers.keys() & victims.keys()):
            what = f"{len(both)} people are attackers and victims ({first_names(both)})"
            found.add("data.victims", f"{what}: they would attack themselves")
        if found:
            return None
        root = Path(os.path.commonpath([folder.absolute() for folder in folders]))
        below = [folder.absolute().relative_to(root).as_posix() for folder in folders]
        pairs = list(self._crossed(attackers, victims, below[0], below[1]))
        names = image_names(pairs)
        store = FileImages(root, names, one_size(root, names, self.size))
        inside = {
            f"{place}/{image}": image
            for place, people in zip(below, (attackers, victims), strict=True)
            for images in people.values()
            for image in images
        }
        who = by_folder([inside[name] for name in names])
        return listing_of(store, pairs, self.attacked_kind(goal), found, who)

    def _crossed(
        self, attackers: People, victims: People, first: str, second: str
    ) -> Iterator[NamedPair]:
        """Yield the pairs, images by their paths below the folder that holds both."""
        fixed = portraits(victims, 0)
        for attacker in attackers.values():
            for image in attacker:
                for name, photographs in victims.items():
                    for victim in [fixed[name]] if self.gallery == "one" else photographs:
                        where = f"{self.attackers}: {image}"
                        yield NamedPair(f"{first}/{image}", f"{second}/{victim}", False, 0, where)
