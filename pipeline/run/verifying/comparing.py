"""A unit's rows as they were recorded beside the same rows computed once more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gauntlet.pipeline.results.parquet import PIXELS
from gauntlet.pipeline.results.schema import ORDER

RELATIVE = ABSOLUTE = 1e-4
"""Two measured numbers are the same within these, as float32 sums in another order are."""


@dataclass(frozen=True)
class Comparison:
    """What differs between two versions of a unit's rows of one table.

    Attributes:
        images: that were compared, byte by byte.
        changed: of these, those that are not equal.
        largest: difference of two measured numbers, over all columns.
        faults: what differs, a line a column.
    """

    images: int = 0
    changed: int = 0
    largest: float = 0.0
    faults: tuple[str, ...] = ()


def compare(table: str, before: pa.Table, now: pa.Table) -> Comparison:
    """Compare rows that are both in the table's order.

    Images and everything that is no measured number have to be equal.

    Args:
        table: its name.
        before: as recorded.
        now: as computed here.
    """
    keys = [name for name in ORDER[table] if name in before.column_names]
    if before.select(keys) != now.select(keys):
        what = f"{table}: {before.num_rows:,} rows then, {now.num_rows:,} now"
        return Comparison(
            faults=(what if before.num_rows != now.num_rows else f"{table}: other rows",)
        )
    images = changed = 0
    largest, faults = 0.0, []
    for name in before.column_names:
        old, new = before[name], now[name]
        if name == PIXELS:
            images = len(old) - old.null_count
            unequal = np.flatnonzero(_unequal(old, new))
            changed = len(unequal)
            if changed:
                faults.append(_images(before, now, unequal))
            continue
        if _is_measured(old.type):
            distance = _distances(old, new)
            largest = max(largest, float(distance.apart.max(initial=0.0)))
            bad = distance.beyond
        else:
            bad = _unequal(old, new)
        if len(where := np.flatnonzero(bad)):
            first = int(where[0])
            shown = f"{_short(old[first])} -> {_short(new[first])}"
            of = before["example"][first].as_py()
            faults.append(f"{table}.{name}: {len(where):,} of {len(old):,} differ ({of}: {shown})")
    return Comparison(images, changed, largest, tuple(faults))


@dataclass(frozen=True)
class _Distances:
    """How far the numbers of each row are apart, and whether that is too far; (rows,) each."""

    apart: np.ndarray
    beyond: np.ndarray


def _distances(old: pa.ChunkedArray, new: pa.ChunkedArray) -> _Distances:
    apart, beyond = np.zeros(len(old)), np.zeros(len(old), bool)
    for row, (one, other) in enumerate(zip(_numbers(old), _numbers(new), strict=True)):
        if one.shape != other.shape:
            apart[row], beyond[row] = np.inf, True
            continue
        same = (one == other) | (np.isnan(one) & np.isnan(other))
        gap = np.where(same, 0.0, np.abs(np.where(same, 0.0, one) - np.where(same, 0.0, other)))
        apart[row] = gap.max(initial=0.0)
        limit = ABSOLUTE + RELATIVE * np.abs(np.where(same, 0.0, one))
        beyond[row] = bool((~(gap <= limit)).any())
    return _Distances(apart, beyond)


def _numbers(column: pa.ChunkedArray) -> Iterator[np.ndarray]:
    """Yield the numbers of each row, float64; none where there is no value."""
    for value in column.to_pylist():
        yield np.array([] if value is None else value, np.float64).reshape(-1)


def _is_measured(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind.value_type if pa.types.is_list(kind) else kind))


def _unequal(old: pa.ChunkedArray, new: pa.ChunkedArray) -> np.ndarray:
    if pa.types.is_list(old.type):
        return np.array(
            [one != other for one, other in zip(old.to_pylist(), new.to_pylist(), strict=True)],
            bool,
        )
    differ = pc.fill_null(pc.not_equal(old, new), False)
    alone = pc.xor(pc.is_null(old), pc.is_null(new))
    return np.asarray(pc.or_(differ, alone).to_numpy())


def _images(before: pa.Table, now: pa.Table, unequal: np.ndarray) -> str:
    """Return which images differ, and by how much the first does."""
    at = int(unequal[0])
    old, new = (rows[PIXELS][at].as_py() or b"" for rows in (before, now))
    text = f"images: {len(unequal):,} of {before.num_rows:,} differ ({before['example'][at]}: "
    if len(old) != len(new):
        return f"{text}{len(old):,} bytes then, {len(new):,} now)"
    kind = before["dtype"][at].as_py()
    one, other = (np.frombuffer(content, kind).astype(np.float64) for content in (old, new))
    apart = np.abs(one - other)
    levels = apart.max() * (1 if kind == "uint8" else 255)
    return (
        f"{text}{np.count_nonzero(apart):,} of {apart.size:,} values, by up to {levels:.3g} levels)"
    )


def _short(value: pa.Scalar) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
