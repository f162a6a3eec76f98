"""Pairs of images: what their sources have in common, and pairs by the names of their images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from gauntlet.pipeline.batch import Goal, Task
from gauntlet.pipeline.data.found import Found
from gauntlet.pipeline.data.listing import Listing, PairRows
from gauntlet.pipeline.data.sources.source import DataSource
from gauntlet.pipeline.data.stores import ImageStore

PAIRS = "needed by {} pairs"
"""How the lines of one missing image are counted."""


class Paired(DataSource):
    """What every source of image pairs has in common."""

    task: ClassVar[Task] = Task.VERIFICATION

    kind: Literal["different", "same"] | None = None
    """Which pairs are attacked: of different people or of one person. By default what the goal is
    about: `different` for impersonation, `same` for dodging."""

    @property
    def has_references(self) -> bool:
        """The second image of each pair."""
        return True

    def attacked_kind(self, goal: Goal) -> Literal["different", "same"]:
        """Return which pairs are attacked, as the job or the goal says."""
        return self.kind or ("different" if goal is Goal.IMPERSONATION else "same")


@dataclass(frozen=True)
class NamedPair:
    """One line of a list of pairs: two images by name, and where it was read."""

    first: str
    second: str
    same: bool
    fold: int
    where: str


def image_names(pairs: Iterable[NamedPair]) -> tuple[str, ...]:
    """Return every image once, in the order in which the pairs first name them."""
    return tuple(dict.fromkeys(name for pair in pairs for name in (pair.first, pair.second)))


def listing_of(
    store: ImageStore,
    pairs: Sequence[NamedPair],
    kind: Literal["different", "same"],
    found: Found,
    people: tuple[str, ...] | None = None,
) -> Listing:
    """Return the pairs of the attacked kind, with the whole list beside them.

    A pair that the list holds twice is attacked once, and counts twice for the threshold.

    Args:
        store: images with the names that the pairs have.
        pairs: all pairs.
        kind: which are attacked.
        found: takes what is wrong.
        people: whom each image of the store shows, where the source tells.
    """
    place = {name: position for position, name in enumerate(store.names)}
    for pair in pairs:
        if pair.first == pair.second and not pair.same:
            what = "an image paired with itself does not show different people"
            found.add(pair.where, what, "{} such pairs")
    rows = PairRows(
        first=np.asarray([place[pair.first] for pair in pairs], dtype=np.int64),
        second=np.asarray([place[pair.second] for pair in pairs], dtype=np.int64),
        same=np.asarray([pair.same for pair in pairs], dtype=np.bool_),
        fold=np.asarray([pair.fold for pair in pairs], dtype=np.int64),
    )
    attacked = {
        f"{pair.first}|{pair.second}": pair for pair in pairs if pair.same == (kind == "same")
    }
    if not attacked and not found:  # rows that could not be used would have had some
        found.add("data.pairs", f"the list has no pair of the kind that is attacked, {kind!r}")
    return Listing(
        store=store,
        ids=tuple(attacked),
        first=np.asarray([place[pair.first] for pair in attacked.values()], dtype=np.int64),
        second=np.asarray([place[pair.second] for pair in attacked.values()], dtype=np.int64),
        pairs=rows,
        people=people,
    )
