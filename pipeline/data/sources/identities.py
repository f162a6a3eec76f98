"""Pairs that are drawn from folders of people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import torch
from pydantic import Field

from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.data.found import Found
from gauntlet.pipeline.data.listing import Listing
from gauntlet.pipeline.data.people import People, by_folder, portraits, read_people, shuffled
from gauntlet.pipeline.data.sources.paired import NamedPair, Paired, image_names, listing_of
from gauntlet.pipeline.data.sources.source import Size, register
from gauntlet.pipeline.data.stores import FileImages, one_size
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.files import expanded

_ROUNDS = 20
"""How many candidates are drawn for each pair that is wanted; most are new."""
_WORDS = {True: "one person", False: "different people"}


@register
class Identities(Paired):
    """Pairs drawn from folders of people. No person is in two folds; the people of a fold take
    turns, and no pair is drawn twice."""

    paths: ClassVar[tuple[str, ...]] = ("root", "ids")
    source: Literal["identities"]
    """Kind of source."""
    root: str
    """Folder with a sub-folder of photographs for each person."""
    pairs: int = Field(6000, ge=4, le=1_000_000)
    """Pairs of the threshold protocol: half of one person and half of different people, in equal
    folds."""
    folds: int = Field(10, ge=2)
    """Folds of the threshold protocol; people are dealt out to them by hash."""
    drawn: int = Field(0, ge=0)
    """Seed of folds and pairs; the run's seed changes none. More pairs keep those that there
    are."""
    gallery: Literal["one"] | None = None
    """`one`: the second image of every pair is the one photograph that stands for its person in a
    gallery, drawn by hash. By default any of the person's."""
    size: Size | None = None
    """Height and width to resize to (bilinear, antialiased); by default all must have one size."""

    def image_size(self, base: Path) -> tuple[int, int] | None:
        """What the images are resized to, if they are."""
        return self.size

    def read(self, goal: Goal, base: Path, found: Found) -> Listing | None:
        """Deal the people out to folds, and draw the pairs of each."""
        root = base / expanded(self.root)
        people = read_people(root, "data.root", found)
        if self.pairs % (2 * self.folds):
            what = f"{self.pairs} is no multiple of {2 * self.folds}, as {self.folds} equal folds "
            found.add("data.pairs", f"{what}of two kinds need it")
        if people and len(people) < 2 * self.folds:
            what = f"{root} has {len(people)} people, too few for {self.folds} folds of two or more"
            found.add("data.folds", what)
        if found:
            return None
        order = shuffled(people, self.drawn)
        pairs = [
            pair
            for fold in range(self.folds)
            for same in (True, False)
            for pair in self._drawn(people, order[fold :: self.folds], fold, same, found)
        ]
        if found:
            return None
        names = image_names(pairs)
        store = FileImages(root, names, one_size(root, names, self.size))
        return listing_of(store, pairs, self.attacked_kind(goal), found, by_folder(names))

    def _drawn(
        self, people: People, members: Sequence[str], fold: int, same: bool, found: Found
    ) -> list[NamedPair]:
        """Return the pairs of one kind of a fold."""
        wanted = self.pairs // (2 * self.folds)
        pairs: dict[frozenset[str], NamedPair] = {}
        for first, second in self._candidates(people, members, fold, same, wanted):
            where = f"{self.root}: pair {len(pairs)} of fold {fold + 1}"
            pairs.setdefault(
                frozenset((first, second)), NamedPair(first, second, same, fold, where)
            )
            if len(pairs) == wanted:
                return list(pairs.values())
        what = f"only {len(pairs)} different pairs of {_WORDS[same]} found in fold {fold + 1}, "
        what += f"{wanted} wanted: ask for fewer pairs or folds, or give more photographs"
        found.add("data.pairs", what)
        return []

    def _candidates(
        self, people: People, members: Sequence[str], fold: int, same: bool, wanted: int
    ) -> Iterator[tuple[str, str]]:
        """Yield pairs of one kind, the people of the first images taking turns."""
        fixed = portraits(people, self.drawn) if self.gallery == "one" else {}
        turns = [name for name in members if len(people[name]) > 1] if same else list(members)
        if not turns:
            return
        for start in range(0, _ROUNDS * wanted, wanted):
            numbers = range(start, start + wanted)
            ids = [f"{fold}-{same:d}-{number}" for number in numbers]
            draws = Draws.keyed(self.drawn, ids, attack="identity pairs")
            shares = draws.uniform("pair", (3,), dtype=torch.float64).tolist()
            for number, (one, two, three) in zip(numbers, shares, strict=True):
                name = turns[number % len(turns)]
                other = name if same else _another(members, name, three)
                reference = fixed.get(other) or _one_of(people[other], two)
                photographs = [image for image in people[name] if image != reference]
                yield _one_of(photographs, one), reference


def _one_of(things: Sequence[str], share: float) -> str:
    """Return the thing at a share, in [0, 1), of the way through a list."""
    return things[int(share * len(things))]


def _another(members: Sequence[str], name: str, share: float) -> str:
    """Return another member than the named one."""
    return _one_of([member for member in members if member != name], share)
