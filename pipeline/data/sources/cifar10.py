"""The CIFAR-10 test set."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from torchvision.datasets import CIFAR10

from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.data.decoding import Pixels
from gauntlet.pipeline.data.found import Found
from gauntlet.pipeline.data.listing import Listing
from gauntlet.pipeline.data.sources.labelled import Labelled
from gauntlet.pipeline.data.sources.source import register
from gauntlet.pipeline.data.stores import ImageStore, numbered
from gauntlet.pipeline.files import expanded

CLASSES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
SIZE = (32, 32)


@register
class Cifar10(Labelled):
    """The CIFAR-10 test set, as its authors distribute it."""

    paths: ClassVar[tuple[str, ...]] = ("root", "ids")
    source: Literal["cifar10"]
    """Kind of source."""
    root: str
    """Folder that holds `cifar-10-batches-py`."""

    def image_size(self, base: Path) -> tuple[int, int]:
        """32 x 32."""
        return SIZE

    def labelled(self, goal: Goal, base: Path, found: Found) -> Listing | None:
        """Read the batch of test images."""
        root = base / expanded(self.root)
        try:
            official = official_set(root)
        except RuntimeError:
            found.add(
                "data.root",
                f"CIFAR-10 is not there, or a file of it is damaged: fetch "
                f"https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz and unpack it in {root}, "
                f"so that {root / 'cifar-10-batches-py' / 'test_batch'} exists",
            )
            return None
        labels = np.asarray(official.targets, dtype=np.int64)
        store = CifarImages(root)
        return Listing(store, tuple(store.names), np.arange(len(labels)), labels, 10, CLASSES)


@dataclass(frozen=True)
class CifarImages(ImageStore):
    """The CIFAR-10 test set; ``cifar10-test/17`` is the name of the image at index 17."""

    root: Path

    @property
    def image_size(self) -> tuple[int, int]:
        """32 x 32."""
        return SIZE

    @property
    def names(self) -> Sequence[str]:
        """``cifar10-test/index``."""
        return numbered("cifar10-test", 10_000)

    def read(self, position: int) -> Pixels:
        """Return an image."""
        pixels: Pixels = official_set(self.root).data[position]
        return pixels

    def fingerprint(self, positions: Sequence[int]) -> str:
        """Return a hash of the images' pixels."""
        pixels = official_set(self.root).data[list(positions)]
        return hashlib.blake2b(pixels.tobytes(), digest_size=16).hexdigest()


@lru_cache(maxsize=2)
def official_set(root: Path) -> Any:
    """Return torchvision's CIFAR-10 test set; nothing is downloaded.

    Raises:
        RuntimeError: when it is not there, or a file's checksum is wrong.
    """
    return CIFAR10(str(root), train=False, download=False)
