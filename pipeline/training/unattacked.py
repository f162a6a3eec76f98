"""The images that a surrogate may be trained on: none of those that will be attacked."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gauntlet.pipeline.batch import Batch
from gauntlet.pipeline.data.examples import Examples
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.models.heads import image_hashes
from gauntlet.pipeline.problems import BadInput, Problem

_CHUNK = 64


@dataclass(frozen=True)
class Unattacked:
    """n labelled images that can be decoded; no two have the same content.

    Attributes:
        examples: where they are; decoded when they are needed.
        hashes: of their content, int64 (n,).
    """

    examples: Examples
    hashes: Tensor

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def ids(self) -> tuple[str, ...]:
        """The images' names."""
        return self.examples.ids

    def batch(self, rows: Tensor) -> Batch:
        """Return the images at some positions (int64), float32 (B, 3, H, W), with their labels."""
        loaded = self.examples.load(rows.tolist()).batch
        assert loaded is not None  # every one has been decoded before
        return loaded

    def rows(self, index: Tensor) -> Unattacked:
        """Return the images at some positions (int64), in that order."""
        return Unattacked(self.examples.subset(index.tolist()), self.hashes[index])

    def split(self, share: float, seed: int) -> tuple[Unattacked, Unattacked]:
        """Return images to train on, and a share of at least one to judge by.

        Which image goes where is a hash of seed and id. The order stays.
        """
        order = Draws.keyed(seed, self.ids, attack="surrogates").bits("held out").argsort()
        held_out = torch.zeros(len(self), dtype=torch.bool)
        held_out[order[: min(len(self) - 1, max(1, round(share * len(self))))]] = True
        return self.rows((~held_out).nonzero()[:, 0]), self.rows(held_out.nonzero()[:, 0])

    def about(self) -> dict[str, Any]:
        """Return what a file says of the images: how many, hashes of ids and of contents."""
        return {
            "count": len(self),
            "ids_sha256": hashlib.sha256("\n".join(sorted(self.ids)).encode()).hexdigest(),
            "contents": [f"{value % (1 << 64):016x}" for value in sorted(self.hashes.tolist())],
        }


def apart(examples: Examples, attacked: Tensor) -> Unattacked:
    """Return the examples without the attacked, the repeated and the undecodable images.

    Args:
        examples: labelled images.
        attacked: hashes of the images that will be attacked, int64 (n,); names do not count.

    Raises:
        BadInput: when fewer than two are left.
    """
    seen = set(attacked.tolist())
    kept: list[int] = []
    hashes: list[int] = []
    for first in range(0, len(examples), _CHUNK):
        positions = range(first, min(first + _CHUNK, len(examples)))
        batch = examples.load(positions).batch
        if batch is None:
            continue
        place = {examples.ids[position]: position for position in positions}
        for name, value in zip(batch.ids, image_hashes(batch.images).tolist(), strict=True):
            if value not in seen:
                seen.add(value)
                kept.append(place[name])
                hashes.append(value)
    if len(kept) < 2:
        what = f"{len(kept)} of {len(examples)} images are not attacked, training needs two or more"
        raise BadInput(
            Problem("data", f"{what}: attack fewer (`data.limit`), or train on other images")
        )
    return Unattacked(examples.subset(kept), torch.tensor(hashes, dtype=torch.int64))


def hashes_of(examples: Examples) -> Tensor:
    """Return the content hashes of all examples that can be decoded, int64 (n,)."""
    found = [torch.zeros(0, dtype=torch.int64)]
    for first in range(0, len(examples), _CHUNK):
        batch = examples.load(range(first, min(first + _CHUNK, len(examples)))).batch
        if batch is not None:
            found.append(image_hashes(batch.images))
    return torch.cat(found)
