"""Where single images come from: an archive, files, the CIFAR-10 batches."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from torchvision.datasets import CIFAR10

from gauntlet.pipeline.data.archive import archived_size, array
from gauntlet.pipeline.data.decoding import Fit, Pixels, Undecodable, decode, size_of

_ESCAPE = re.compile(r"\\x[0-9a-f]{2}")


class ImageStore(Protocol):
    """Single images by position; holds none of them."""

    @property
    def names(self) -> Sequence[str]:
        """A stable name for each image, unique in the store."""

    @property
    def may_fail(self) -> bool:
        """Whether an image may turn out to be undecodable when it is read."""

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Height and width of every image that can be read; None where only reading tells."""

    def read(self, position: int) -> Pixels:
        """Return an image, uint8 (H, W, 3), RGB; H and W are the same for all.

        Raises:
            Undecodable: when it cannot be used.
        """

    def fingerprint(self, positions: Sequence[int]) -> str:
        """Return a hash of what determines the pixels of some images that can be read."""


@dataclass(frozen=True)
class ArchiveImages:
    """The images of an .npz archive; ``archive-stem/17`` is the name of the one at index 17."""

    path: Path
    key: str
    count: int
    may_fail: bool = False

    @property
    def names(self) -> Sequence[str]:
        """``archive-stem/index``."""
        return numbered(self.path.stem, self.count)

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width, by the archive's header."""
        return archived_size(self.path, self.key)

    def read(self, position: int) -> Pixels:
        """Return an image."""
        pixels: Pixels = array(self.path, self.key)[position]
        return pixels

    def fingerprint(self, positions: Sequence[int]) -> str:
        """Return a hash of the images' pixels."""
        images = array(self.path, self.key)
        digest = hashlib.blake2b(repr(images.shape[1:]).encode(), digest_size=16)
        for position in positions:
            digest.update(images[position].tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class FileImages:
    """Image files; the path below the root is the name.

    Attributes:
        root: the folder.
        names: paths below it, with ``/``.
        fit: how a decoded image becomes a canonical one.
    """

    root: Path
    names: tuple[str, ...]
    fit: Fit = field(default_factory=Fit)
    may_fail: bool = True

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Height and width after the fit; None where none is wanted and no first image was read."""
        return self.fit.size or self.fit.crop or (self.fit.expect and self.fit.expect[0])

    def read(self, position: int) -> Pixels:
        """Decode a file."""
        path = self.root / self.names[position]
        if _ESCAPE.search(self.names[position]) and not path.exists():
            raise Undecodable("its name, escaped here, is not UTF-8: rename the file")
        return decode(path, self.fit)

    def fingerprint(self, positions: Sequence[int]) -> str:
        """Return a hash of the files' contents and of the fit."""
        digest = hashlib.blake2b(repr(self.fit).encode(), digest_size=16)
        for position in positions:
            # Not the time of its last change: a copy of the data set has the same thresholds.
            content = (self.root / self.names[position]).read_bytes()
            digest.update(hashlib.blake2b(content).digest())
        return digest.hexdigest()


@dataclass(frozen=True)
class CifarImages:
    """The CIFAR-10 test set; ``cifar10-test/17`` is the name of the image at index 17."""

    root: Path
    may_fail: bool = False

    @property
    def image_size(self) -> tuple[int, int]:
        """32 x 32."""
        return 32, 32

    @property
    def names(self) -> Sequence[str]:
        """``cifar10-test/index``."""
        return numbered("cifar10-test", 10_000)

    def read(self, position: int) -> Pixels:
        """Return an image."""
        pixels: Pixels = cifar10(self.root).data[position]
        return pixels

    def fingerprint(self, positions: Sequence[int]) -> str:
        """Return a hash of the images' pixels."""
        pixels = cifar10(self.root).data[list(positions)]
        return hashlib.blake2b(pixels.tobytes(), digest_size=16).hexdigest()


@lru_cache(maxsize=2)
def cifar10(root: Path) -> Any:
    """Return torchvision's CIFAR-10 test set; nothing is downloaded.

    Raises:
        RuntimeError: when it is not there, or a file's checksum is wrong.
    """
    return CIFAR10(str(root), train=False, download=False)


@lru_cache(maxsize=8)
def numbered(stem: str, count: int) -> tuple[str, ...]:
    """Return ``stem/0`` to ``stem/(count - 1)``."""
    return tuple(f"{stem}/{index}" for index in range(count))


def one_size(root: Path, names: Iterable[str], size: tuple[int, int] | None) -> Fit:
    """Return the fit that resizes to ``size``, or else holds all images to the first one's size."""
    if size is not None:
        return Fit(size=size)
    for name in names:
        first = size_of(root / name)
        if first is not None:
            return Fit(expect=(first, name))
    return Fit()


def stays_below(name: str) -> bool:
    """Return whether a relative path stays below the folder that it starts from."""
    path = Path(name)
    return bool(name) and not path.is_absolute() and ".." not in path.parts
