"""Where single images come from: an archive, files, or what a source has of its own."""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

from gauntlet.pipeline.data.archive import image_size
from gauntlet.pipeline.data.archive_rows import rows
from gauntlet.pipeline.data.decoding import Fit, Pixels, Undecodable, decode, size_of

_ESCAPE = re.compile(r"\\x[0-9a-f]{2}")


class ImageStore(ABC):
    """Single images by position; holds none of them.

    Attributes:
        may_fail: whether an image may turn out to be undecodable when it is read.
    """

    may_fail: ClassVar[bool] = False

    @property
    @abstractmethod
    def names(self) -> Sequence[str]:
        """A stable name for each image, unique in the store."""

    @property
    @abstractmethod
    def image_size(self) -> tuple[int, int] | None:
        """Height and width of every image that can be read; None where only reading tells."""

    @property
    def folder(self) -> Path | None:
        """Folder of the image files that the names are; None where images are no files."""
        return None

    @abstractmethod
    def read(self, position: int) -> Pixels:
        """Return an image, uint8 (H, W, 3), RGB; H and W are the same for all.

        Raises:
            Undecodable: when it cannot be used.
        """

    def read_all(self, positions: Sequence[int]) -> Sequence[Pixels | Undecodable]:
        """Return some images, with the reason in the place of one that cannot be used."""
        images: list[Pixels | Undecodable] = []
        for position in positions:
            try:
                images.append(self.read(position))
            except Undecodable as error:
                images.append(Undecodable(f"{self.names[position]}: {error}"))
        return images

    @abstractmethod
    def fingerprint(self, positions: Sequence[int]) -> str:
        """Return a hash of what determines the pixels of some images that can be read."""


@dataclass(frozen=True)
class ArchiveImages(ImageStore):
    """The images of an .npz archive; ``archive-stem/17`` is the name of the one at index 17."""

    path: Path
    key: str
    count: int

    @property
    def names(self) -> Sequence[str]:
        """``archive-stem/index``."""
        return numbered(self.path.stem, self.count)

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Height and width, by the archive's header."""
        return image_size(self.path, self.key)

    def read(self, position: int) -> Pixels:
        """Return an image."""
        pixels: Pixels = rows(self.path, self.key, [position])[0]
        return pixels

    def read_all(self, positions: Sequence[int]) -> Sequence[Pixels | Undecodable]:
        """Return some images."""
        images: list[Pixels | Undecodable] = [*rows(self.path, self.key, positions)]
        return images

    def fingerprint(self, positions: Sequence[int]) -> str:
        """Return a hash of the images' pixels."""
        shape = rows(self.path, self.key, positions[:1]).shape[1:]
        digest = hashlib.blake2b(repr(shape).encode(), digest_size=16)
        for position in positions:
            digest.update(self.read(position).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class FileImages(ImageStore):
    """Image files; the path below the root is the name.

    Attributes:
        root: the folder.
        files: paths below it, with ``/``.
        fit: how a decoded image becomes a canonical one.
    """

    root: Path
    files: tuple[str, ...]
    fit: Fit = field(default_factory=Fit)
    may_fail: ClassVar[bool] = True

    @property
    def names(self) -> Sequence[str]:
        """The paths of the files."""
        return self.files

    @property
    def folder(self) -> Path:
        """The folder."""
        return self.root

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
