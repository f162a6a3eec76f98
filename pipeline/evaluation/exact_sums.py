"""Sums and means of groups of rows, correctly rounded: no order of the rows changes a bit."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

Reals = npt.NDArray[np.float64]


class ExactSums:
    """Adds up columns of a frame by group, the groups in the order of their first rows.

    What pandas adds up depends on how the rows of the groups lie, in the last bit.

    Args:
        frame: the rows.
        keys: columns that name a group.
    """

    def __init__(self, frame: pd.DataFrame, keys: Sequence[str]) -> None:
        self._frame = frame
        groups = frame.groupby([*keys], sort=False, dropna=False, observed=True)
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
