"""Pairs of rendered faces: no files, and no pictures before they are asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, ValidationInfo, field_validator

from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.data.decoding import Pixels
from gauntlet.pipeline.data.found import Found
from gauntlet.pipeline.data.listing import Listing, PairRows, Positions
from gauntlet.pipeline.data.people import by_folder
from gauntlet.pipeline.data.rendered import TEST_IDENTITIES, render
from gauntlet.pipeline.data.sources.paired import Paired
from gauntlet.pipeline.data.sources.source import register
from gauntlet.pipeline.data.stores import ImageStore
from gauntlet.pipeline.draws import Draws

FOLDS = 10
_KINDS = ("same", "different")


@register
class Rendered(Paired):
    """Faces drawn by formula, as many as wanted, with no file. `ids` names pairs by their ids,
    `same-00000` or `different-00000`, which mean the same for any number of `pairs`."""

    source: Literal["rendered"]
    """Kind of source."""
    faces: int = Field(0, ge=0)
    """Seed of the people, of their photographs and of the pairs; the run's seed changes none."""
    size: int = Field(48, ge=16, le=1024)
    """Side of the pictures in pixels."""
    pairs: int = Field(6000, ge=20, le=100_000)
    """Pairs of the threshold protocol, a multiple of 20: half of one person and half of different
    people, in ten folds that have no person in common."""
    identities: int = Field(1000, ge=20, le=1_000_000)
    """Number of people, a multiple of 10: the test people from number 1000000 on."""

    @field_validator("pairs", "identities")
    @classmethod
    def _shared_out(cls, value: int, info: ValidationInfo) -> int:
        share = 20 if info.field_name == "pairs" else 10
        if value % share:
            raise ValueError(f"{value} is no multiple of {share}, as ten equal folds need it")
        return value

    def image_size(self, base: Path) -> tuple[int, int]:
        """As drawn."""
        return self.size, self.size

    def read(self, goal: Goal, base: Path, found: Found) -> Listing:
        """Return the pairs of the attacked kind, with the whole list beside them.

        Pair n of a kind belongs to fold n mod 10, whose people are a tenth of all. Who of them it
        shows is drawn by seed and id. No picture is in two pairs.
        """
        count = self.pairs // 2
        number = np.tile(np.arange(count, dtype=np.int64), 2)
        different = np.repeat(np.asarray([0, 1], dtype=np.int64), count)
        ids = [f"{_KINDS[kind]}-{index:05d}" for kind in (0, 1) for index in range(count)]
        draws = Draws.keyed(self.faces, ids, attack="rendered pairs")
        block = self.identities // FOLDS
        one = draws.integers("first", 0, block).numpy()
        step = draws.integers("second", 1, block).numpy()
        two = (one + different * step) % block
        start = TEST_IDENTITIES + number % FOLDS * block
        shot = 4 * number + 2 * different
        store = RenderedImages(
            people=np.stack((start + one, start + two), 1).reshape(-1),
            shots=np.stack((shot, shot + 1), 1).reshape(-1),
            size=self.size,
            faces=self.faces,
        )
        first = 2 * np.arange(2 * count, dtype=np.int64)
        rows = PairRows(first, first + 1, different == 0, number % FOLDS)
        kind = self.attacked_kind(goal)
        attacked = np.flatnonzero(different == _KINDS.index(kind))
        return Listing(
            store=store,
            ids=tuple(ids[position] for position in attacked.tolist()),
            first=first[attacked],
            second=first[attacked] + 1,
            pairs=rows,
            people=by_folder(store.names),
        )


@dataclass(frozen=True)
class RenderedImages(ImageStore):
    """Rendered faces by position; ``1000017/240`` is the name of picture 240 of person 1000017.

    Attributes:
        people: number of the person in each picture, (N,).
        shots: number of each picture among those of its person, (N,).
        size: side of the pictures in pixels.
        faces: seed of the population.
    """

    people: Positions
    shots: Positions
    size: int
    faces: int

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width."""
        return self.size, self.size

    @cached_property
    def names(self) -> Sequence[str]:
        """``person/shot``."""
        rows = zip(self.people.tolist(), self.shots.tolist(), strict=True)
        return tuple(f"{person}/{shot}" for person, shot in rows)

    def read(self, position: int) -> Pixels:
        """Return a picture, uint8 (H, W, 3)."""
        return self.read_all([position])[0]

    def read_all(self, positions: Sequence[int]) -> list[Pixels]:
        """Return some pictures, painted together: many times faster than one by one."""
        index = np.asarray(positions, dtype=np.int64)
        pictures = render(
            self.people[index].tolist(),
            self.shots[index].tolist(),
            size=self.size,
            seed=self.faces,
        )
        return [*pictures.permute(0, 2, 3, 1).contiguous().numpy()]

    def fingerprint(self, positions: Sequence[int]) -> str:
        """Return a hash of what the pictures are drawn from."""
        index = np.asarray(positions, dtype=np.int64)
        drawn = f"{self.size}\x1f{self.faces}\x1f{self.people[index].tolist()}"
        content = f"{drawn}\x1f{self.shots[index].tolist()}"
        return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()
