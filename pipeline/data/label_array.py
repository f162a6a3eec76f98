"""Classes in an array of an archive, in any of the forms that people store them in."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gauntlet.pipeline.data import archive
from gauntlet.pipeline.data.found import Found
from gauntlet.pipeline.data.listing import Positions


def label_array(
    path: Path,
    known: dict[str, archive.Header],
    name: str,
    field: str,
    count: int | None,
    found: Found,
) -> tuple[Positions, int | None] | None:
    """Return the classes of N images, int64 (N,), and their number if the array says it.

    Whole numbers of any type, (N,) or (N, 1), or one-hot rows (N, C), are classes.

    Args:
        path: the archive.
        known: headers of its arrays.
        name: the array.
        field: the job's field that names it.
        count: N, if known.
        found: takes what is wrong, and how the array was read.

    Returns:
        None when the array cannot be used.
    """
    header = known.get(name)
    if header is None:
        have = ", ".join(known) or "none"
        found.add(field, f"the archive has no array {name!r}; it has {have}")
        return None
    if count is not None and header.shape[:1] != (count,) and header.shape:
        found.add(field, f"{header.shape[0]} labels for {count} images")
        return None
    values = archive.array(path, name) if header.dtype.kind in "biuf" else None
    if values is not None and values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values is not None and values.ndim == 2 and _is_one_hot(values):
        found.note(f"{path.name}: array {name!r} is one-hot, {values.shape[1]} classes")
        return values.argmax(1).astype(np.int64), values.shape[1]
    whole = values is not None and values.ndim == 1 and values.dtype.kind != "b"
    if values is None or not whole or not _are_whole(values):
        found.add(field, f"array {name!r} is {header.dtype} {header.shape}, expected integers (N,)")
        return None
    return values.astype(np.int64), None


def _are_whole(values: np.ndarray) -> bool:
    if values.dtype.kind in "iu":
        return True
    return bool(np.isfinite(values).all() and (values == np.floor(values)).all())


def _is_one_hot(values: np.ndarray) -> bool:
    return bool(((values == 0) | (values == 1)).all() and (values.sum(1) == 1).all())
