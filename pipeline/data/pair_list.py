"""The whole list of pairs of a source, on which thresholds are found."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gauntlet.pipeline.data.listing import Flags, PairRows, Positions
from gauntlet.pipeline.data.stores import ImageStore


@dataclass(frozen=True)
class Rejected:
    """An example, or an image, that could not be decoded.

    Attributes:
        id: the example's id, or the image's name.
        reason: what was wrong with it.
    """

    id: str
    reason: str


@dataclass(frozen=True)
class PairList:
    """P labelled pairs over a listing of single images, for the threshold protocol.

    Attributes:
        first: positions of the first images in the listing of images.
        second: positions of the second ones.
        same: whether both show one person, bool (P,).
        fold: fold of each pair, int64 (P,).
        fingerprint: hash of the images' names and pixels (or of what determines these), ``same``
            and ``fold``.
        rejected: images that could not be decoded; pairs with one of them are left out.
        left_out: how many pairs that are; with those here they are all of the list.
    """

    first: list[int]
    second: list[int]
    same: Flags
    fold: Positions
    fingerprint: str
    rejected: tuple[Rejected, ...] = ()
    left_out: int = 0

    @property
    def listed(self) -> int:
        """How many pairs the list has."""
        return len(self.first) + self.left_out


def pair_list(rows: PairRows, store: ImageStore, rejected: Sequence[Rejected]) -> PairList:
    """Return a list of pairs without those that have an undecodable image."""
    names = store.names
    broken = {item.id for item in rejected}
    used = np.asarray(
        [
            names[a] not in broken and names[b] not in broken
            for a, b in zip(rows.first.tolist(), rows.second.tolist(), strict=True)
        ],
        dtype=np.bool_,
    )
    first, second = rows.first[used].tolist(), rows.second[used].tolist()
    same, fold = rows.same[used], rows.fold[used]
    digest = hashlib.blake2b(digest_size=16)
    # Names alone would give one data set the threshold found on another of the same layout.
    digest.update(f"{store.fingerprint(sorted({*first, *second}))}\n".encode())
    for a, b, one, block in zip(first, second, same.tolist(), fold.tolist(), strict=True):
        digest.update(f"{names[a]}\x1f{names[b]}\x1f{one:d}\x1f{block}\n".encode())
    left_out = len(used) - len(first)
    return PairList(first, second, same, fold, digest.hexdigest(), tuple(rejected), left_out)
