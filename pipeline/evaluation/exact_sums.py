"""Sums and means of groups of rows, correctly rounded: no order of the rows changes a bit."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from pandas.core.groupby import DataFrameGroupBy

Reals = npt.NDArray[np.float64]


class ExactSums:
    """Adds up columns of a frame by group, the groups in the order of their first rows.

    What pandas adds up depends on how the rows of the groups lie, in the last bit.

    Args:
        groups: of rows, not sorted by what names them.
    """

    def __init__(self, groups: DataFrameGroupBy[Any, Any]) -> None:
        self._frame = groups.obj
        number = groups.ngroup().to_numpy()
        self._order = np.argsort(number, kind="stable")
        self._ends = np.cumsum(np.bincount(number))[:-1] if len(number) else np.empty(0, np.int64)

    def sum(self, name: str) -> Reals:
        """Return the sum of a column in each group, without what is NaN, (groups,)."""
        return np.array([math.fsum(part) for part in self._parts(name)], np.float64)

    def mean(self, name: str) -> Reals:
        """Return the mean of a column in each group, without what is NaN; NaN of nothing."""
        sums = [(math.fsum(part), len(part)) for part in self._parts(name)]
        return np.array([total / n if n else math.nan for total, n in sums], np.float64)

    def _parts(self, name: str) -> list[list[float]]:
        if not len(self._frame):
            return []
        values = self._frame[name].to_numpy(np.float64, na_value=np.nan)[self._order]
        parts = np.split(values, self._ends)
        return [part[~np.isnan(part)].tolist() for part in parts]
