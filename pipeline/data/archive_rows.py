"""Rows of an archive's array, read where they lie: however large it is, it is never held whole."""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gauntlet.pipeline import user_cache
from gauntlet.pipeline.data.archive import BROKEN, array, header_of
from gauntlet.pipeline.problems import BadInput, Problem

HELD = 64 * 2**20
"""Bytes up to which a compressed array is held in memory; a larger one is unfolded to a file."""
_KIND = "arrays"
_CHUNK = 2**20
_LOCAL = 30
"""Bytes of a member's own header in a ZIP file, before its name and its extra field."""


@dataclass(frozen=True)
class Place:
    """Where the rows of an array lie, one after the other.

    Attributes:
        file: an archive, or what was unfolded from it.
        offset: of the first row, bytes.
        row: shape of a row.
        dtype: of its values.
    """

    file: Path
    offset: int
    row: tuple[int, ...]
    dtype: np.dtype[Any]

    def read(self, positions: Sequence[int]) -> npt.NDArray[Any]:
        """Return some rows, (R, *row).

        Raises:
            OSError: when the file cannot be read.
            EOFError: when it has become shorter.
        """
        rows = np.empty((len(positions), *self.row), self.dtype)
        with self.file.open("rb", buffering=0) as file:
            for row, position in zip(rows, positions, strict=True):
                file.seek(self.offset + int(position) * row.nbytes)
                if file.readinto(memoryview(row).cast("B")) < row.nbytes:
                    raise EOFError(f"{self.file} ends early")
        return rows


def rows(path: Path, name: str, positions: Sequence[int]) -> npt.NDArray[Any]:
    """Return some rows of an archive's array, (R, ...).

    What was saved without compression is read from the archive; a larger array that is compressed
    is unfolded once, into the user's cache, for all processes and runs on this machine.

    Args:
        path: the .npz file.
        name: of the array; of one dimension at least, and not empty.
        positions: of the rows, in any order.

    Raises:
        BadInput: when the archive or the array is broken, or holds Python objects.
    """
    try:
        place = _place(path, name, path.stat().st_mtime_ns)
        if place is not None:
            return place.read(positions)
    except BROKEN as error:
        raise BadInput(Problem(str(path), f"array {name!r} cannot be read: {error}")) from error
    held: npt.NDArray[Any] = array(path, name)[np.asarray(positions, np.int64)]
    return held


@lru_cache(maxsize=8)
def _place(path: Path, name: str, changed: int) -> Place | None:
    """Return where an array's rows lie; None where it is held in memory."""
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo(f"{name}.npy")
        with archive.open(member) as file:
            header = header_of(file)
            # Columns that lie one after the other make no rows.
            if header.by_columns or header.dtype.hasobject:
                return None
            start, row = file.tell(), header.shape[1:]
            if member.compress_type == zipfile.ZIP_STORED:
                for _ in iter(partial(file.read, _CHUNK), b""):
                    pass  # at its end its checksum is compared
                return Place(path, _begin(path, member) + start, row, header.dtype)
        if member.file_size <= HELD:
            return None
        return Place(_unfolded(path, archive, member, changed), start, row, header.dtype)


def _begin(path: Path, member: zipfile.ZipInfo) -> int:
    """Return where a member's content begins in the archive."""
    with path.open("rb") as file:
        file.seek(member.header_offset + _LOCAL - 4)
        name, extra = struct.unpack("<HH", file.read(4))
    return member.header_offset + _LOCAL + int(name) + int(extra)


def _unfolded(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo, changed: int) -> Path:
    """Return the file that holds a member of an archive as it is now; former ones are removed."""
    folder = user_cache.folder(_KIND)
    whose, state = _digest(str(path.resolve()), member.filename), _digest(changed, member.CRC)
    unfolded = folder / f"{whose}-{state}.npy"
    if unfolded.is_file() and unfolded.stat().st_size == member.file_size:
        return unfolded
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f"{whose}-{state}.{os.getpid()}"
    try:
        with archive.open(member) as compressed, aside.open("wb") as file:
            shutil.copyfileobj(compressed, file, _CHUNK)
        aside.replace(unfolded)
    finally:
        aside.unlink(missing_ok=True)
    for former in folder.glob(f"{whose}-*.npy"):
        if former != unfolded:
            former.unlink(missing_ok=True)
    return unfolded


def _digest(*parts: object) -> str:
    return hashlib.blake2b(repr(parts).encode(), digest_size=12).hexdigest()
