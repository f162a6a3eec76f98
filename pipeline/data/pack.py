"""Packs of face pairs, ``lfw.bin``: pickles, read without running anything that is in them."""

from __future__ import annotations

import io
import pickle
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn

from gauntlet.pipeline.files import obstacle
from gauntlet.pipeline.problems import BadInput, Problem

# What pickle raises on content that is none, or is damaged.
_BROKEN = (
    *(pickle.UnpicklingError, EOFError, AttributeError, IndexError, KeyError, ValueError),
    *(TypeError, MemoryError, OverflowError, ImportError, RecursionError, OSError),
)


class _Plain(pickle.Unpickler):
    """Admits lists, tuples, bytes, numbers and booleans, which pickle makes by itself.

    Everything else, functions and classes above all, is named in a pickle and looked up by the
    method below: nothing of it is imported or called.
    """

    def find_class(self, module: str, name: str) -> NoReturn:
        """Refuse whatever a pickle names."""
        raise pickle.UnpicklingError(f"it wants {module}.{name}")


def read_pack(path: Path) -> tuple[list[bytes], list[bool]]:
    """Return the image files of a pack, 2 P, and whether each of the P pairs shows one person.

    Images 2 k and 2 k + 1 are pair k. The last two packs stay in memory, shared by the process.
    The layout is that of insightface's verification sets (``lfw.bin``, ``cfp_fp.bin``,
    ``agedb_30.bin``), written by Python 2 or 3.

    Raises:
        BadInput: when it is not there, or holds anything but lists, bytes and booleans.
    """
    if what := obstacle(path):
        raise BadInput(Problem("data.path", f"{what}: {path}"))
    return _pack(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=2)
def _pack(path: Path, changed: int) -> tuple[list[bytes], list[bool]]:
    try:
        content = _Plain(io.BytesIO(path.read_bytes()), encoding="bytes").load()
    except _BROKEN as error:
        raise _refused(path, str(error) or type(error).__name__) from None
    if not isinstance(content, tuple | list) or len(content) != 2:
        raise _refused(path, f"it is a {type(content).__name__}, not two lists")
    images, same = content
    if not _all(images, bytes) or not _all(same, bool | int):
        raise _refused(path, "its lists hold other things")
    if not same or len(images) != 2 * len(same):
        raise _refused(path, f"{len(images)} images for {len(same)} pairs")
    return images, [bool(flag) for flag in same]


def _all(values: Any, kind: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, kind) for value in values)


def _refused(path: Path, why: str) -> BadInput:
    what = f"{path.name} is no pack of face pairs: {why}; expected a pickle of two lists, image "
    what += "files as bytes (two a pair) and booleans, of which nothing was run"
    return BadInput(Problem("data.path", what))
