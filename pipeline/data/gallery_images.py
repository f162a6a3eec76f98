"""The images of a gallery, and which of them show the victims of the attacked examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.data.examples import Examples, Rejected, open_examples
from gauntlet.pipeline.data.listing import Listing, Positions
from gauntlet.pipeline.data.sources.source import DataSource


@dataclass(frozen=True)
class GalleryImages:
    """G images, none of them decoded.

    Attributes:
        examples: what the gallery's source gives.
        positions: places of the images in its store, each once, int64 (G,).
        shows: number of whom each image shows, from 0, int64 (G,).
        victims: the same of the second image of each attacked example, by id; absent where no
            image of the gallery shows it.
    """

    examples: Examples
    positions: Positions
    shows: Positions
    victims: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def fingerprint(self) -> str:
        """Hash of what determines the images' pixels, in their order."""
        return self.examples.listing.store.fingerprint(self.positions.tolist())

    def readable(self) -> tuple[GalleryImages, list[Rejected]]:
        """Return the gallery without the images that cannot be decoded, and these."""
        rejected = self.examples.undecodable(self.positions.tolist())
        broken = {item.id for item in rejected}
        names = self.examples.image_names
        kept = [n for n, place in enumerate(self.positions.tolist()) if names[place] not in broken]
        rest = replace(self, positions=self.positions[kept], shows=self.shows[kept])
        return rest, rejected

    def lacks(self, rank: int) -> str | None:
        """Return why no victim can be at a rank, or None."""
        # What was the victim's only image may not have decoded.
        own = np.bincount(self.shows, minlength=1 + max(self.victims.values(), default=0))
        of = max(self.victims, key=lambda example: int(own[self.victims[example]]), default=None)
        others = len(self) - (0 if of is None else int(own[self.victims[of]]))
        if others >= rank:
            return None
        beside = "" if of is None else f" beside those of the victim of {of!r}"
        return f"rank {rank} needs as many images of others, and there are {others:,}{beside}"


def open_gallery(spec: DataSource, attacked: Examples, *, root: Path, seed: int) -> GalleryImages:
    """List a gallery's images, without decoding any.

    Two images show the same where they show one person, if both sources tell people apart, else
    where they are one image: the same file, or of one name where images are no files.

    Args:
        spec: the gallery, a section as ``data``.
        attacked: the examples whose second images are looked for, pairs all.
        root: folder that relative paths start from.
        seed: the run's seed.

    Raises:
        BadInput: with everything that is wrong with the gallery.
    """
    labelled = spec.task is not attacked.goal.task
    goal = Goal.UNTARGETED if labelled else attacked.goal
    examples = open_examples(spec.as_gallery(), goal, root=root, seed=seed)
    listing, pairs = examples.listing, attacked.listing
    assert pairs.second is not None, "the attacked examples are pairs"
    ends = [listing.first] if listing.second is None else [listing.first, listing.second]
    positions = np.unique(np.concatenate(ends))
    told = listing.people is not None and pairs.people is not None
    shown = _shown(listing, positions, told)
    number = {who: place for place, who in enumerate(dict.fromkeys(shown))}
    victims = zip(attacked.ids, _shown(pairs, pairs.second, told), strict=True)
    return GalleryImages(
        examples,
        positions,
        np.asarray([number[who] for who in shown], dtype=np.int64),
        {example: number[who] for example, who in victims if who in number},
    )


def _shown(listing: Listing, positions: Positions, people: bool) -> Sequence[str]:
    """Return whom some images show, or which images they are."""
    if people:
        assert listing.people is not None
        return [listing.people[place] for place in positions.tolist()]
    folder = listing.store.folder
    above = "" if folder is None else f"{folder.resolve()}/"
    return [f"{above}{listing.store.names[place]}" for place in positions.tolist()]
