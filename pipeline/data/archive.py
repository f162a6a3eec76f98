"""Arrays in .npz archives, looked at without unpickling and without reading pixels."""

from __future__ import annotations

import lzma
import math
import struct
import tokenize
import zipfile
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gauntlet.pipeline.data.found import Found
from gauntlet.pipeline.files import obstacle
from gauntlet.pipeline.problems import BadInput, Problem

# What numpy and zipfile raise on damaged files; RuntimeError where a member is encrypted.
BROKEN = (
    *(OSError, ValueError, EOFError, KeyError, RuntimeError, MemoryError),
    *(zipfile.BadZipFile, zlib.error, tokenize.TokenError, SyntaxError, TypeError),
    *(lzma.LZMAError, struct.error, OverflowError),
)
UNFOLD_LIMIT = 250
"""How many times its own size an archive may unfold to; drawn pictures compress a hundredfold."""


@dataclass(frozen=True)
class Header:
    """What an array is, by its header: shape, type, and whether columns lie together, not rows."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    by_columns: bool = False


def headers(path: Path, field: str, found: Found) -> dict[str, Header] | None:
    """Return the headers of an archive's arrays by name.

    Args:
        path: the .npz file.
        field: the job's field that names it, such as ``data.path``.
        found: takes the problem when there is no such file or it is no .npz archive.
    """
    if what := obstacle(path):
        found.add(field, f"{what}: {path}" if what == "no such file" else f"{path} {what}")
        return None
    result = {}
    try:
        with zipfile.ZipFile(path) as archive:
            unfolded = sum(member.file_size for member in archive.infolist())
            if unfolded > (most := UNFOLD_LIMIT * path.stat().st_size):
                raise ValueError(
                    f"it unfolds to {unfolded:,} bytes, more than {UNFOLD_LIMIT} times its size "
                    f"({most:,}); if that is meant, save it without compression (numpy.savez)"
                )
            for member in archive.namelist():
                if member.endswith(".npy"):
                    with archive.open(member) as file:
                        header = header_of(file)
                        room = archive.getinfo(member).file_size - file.tell()
                    if (promised := math.prod(header.shape) * header.dtype.itemsize) > room:
                        raise ValueError(
                            f"the header of {member} promises {promised:,} bytes of values, "
                            f"the archive has {room:,}"
                        )
                    if header.shape and header.shape[0] > path.stat().st_size:
                        raise ValueError(
                            f"{member} has {header.shape[0]:,} entries, more than the file has "
                            "bytes"
                        )
                    result[member.removesuffix(".npy")] = header
    except BROKEN as error:
        found.add(field, f"{path.name} is not a whole .npz archive: {error}")
        return None
    return result


def header_of(file: Any) -> Header:
    """Read an array's header from a file that begins with it.

    Raises:
        ValueError: when it is none.
    """
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, by_columns, dtype = np.lib.format.read_array_header_1_0(file)
    else:
        shape, by_columns, dtype = np.lib.format.read_array_header_2_0(file)
    if any(length < 0 for length in shape):
        raise ValueError(f"the impossible shape {shape}")
    return Header(tuple(shape), np.dtype(dtype), bool(by_columns))


def check_images(
    known: dict[str, Header], name: str, field: str, found: Found
) -> tuple[int, int, int] | None:
    """Return (N, H, W) of an array of images, or None with the problem in ``found``."""
    header = known.get(name)
    if header is None:
        found.add(field, f"the archive has no array {name!r}; it has {', '.join(known) or 'none'}")
        return None
    if header.dtype != np.uint8 or len(header.shape) != 4 or header.shape[3] != 3:
        found.add(
            field,
            f"array {name!r} is {header.dtype} {header.shape}, expected uint8 (N, H, W, 3)",
        )
        return None
    if 0 in header.shape:
        found.add(field, f"array {name!r} is empty: {header.shape}")
        return None
    return header.shape[0], header.shape[1], header.shape[2]


def image_size(path: Path, name: str) -> tuple[int, int] | None:
    """Return height and width of an archive's images, by the header of their array.

    None when they cannot be told; reading the data says why.
    """
    unheard = Found()
    known = headers(path, "", unheard)
    shape = check_images(known, name, "", unheard) if known is not None else None
    return shape[1:] if shape is not None else None


def array(path: Path, name: str) -> npt.NDArray[Any]:
    """Return an array of an archive; the last four stay in memory, shared by the process.

    Raises:
        BadInput: when the archive or the array is broken, or holds Python objects.
    """
    return _array(path, name, path.stat().st_mtime_ns)


def forget() -> None:
    """Drop the arrays that are in memory, in a process that needs no more of them."""
    _array.cache_clear()


@lru_cache(maxsize=4)
def _array(path: Path, name: str, changed: int) -> npt.NDArray[Any]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            # By its full name: a member without the suffix would come before it, unlooked at.
            values: npt.NDArray[Any] = archive[f"{name}.npy"]
    except BROKEN as error:
        raise BadInput(Problem(str(path), f"array {name!r} cannot be read: {error}")) from error
    values.flags.writeable = False
    return values
