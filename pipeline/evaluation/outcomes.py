"""What came of every example, kept so small that methods can be compared on all of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from gauntlet.pipeline.evaluation.statistics import Reals

_NOT_COUNTED = 255


class Outcomes:
    """A figure of each example by attack and target: a byte a verdict where it is yes or no.

    Args:
        figure: a column of `success_rates.counted`; ``success`` counts where the target was right
            before the attack.
    """

    def __init__(self, figure: str) -> None:
        self._figure = figure
        self._places: dict[str, int] = {}
        self._kept: dict[tuple[str, str], npt.NDArray[np.uint8] | Reals] = {}

    def add(self, verdicts: pd.DataFrame) -> None:
        """Add verdicts of one step, from `success_rates.counted`, with all rows of some attacks on
        some targets."""
        column = verdicts[self._figure]
        if self._figure == "success":
            column = column.where(verdicts["right"])
        values = column.to_numpy(np.float64)
        number, names = verdicts["example"].factorize()
        # Ids are held once, however many pieces they come in.
        places = [self._places.setdefault(name, len(self._places)) for name in names]
        place = np.array(places, np.int64)[number]
        groups = verdicts.groupby(["attack", "target"], sort=False, observed=True)
        for key, rows in groups.indices.items():
            attack, target = cast("tuple[str, str]", key)
            self._kept[attack, target] = _small(place[rows], values[rows])

    def table(self, attack: str, targets: Sequence[str], judged: Collection[str]) -> Reals:
        """Return an attack's figures, (examples, targets); NaN where there is none that counts.

        Args:
            attack: its label.
            targets: one a column.
            judged: those that count for this attack.
        """
        found = np.full((len(self._places), len(targets)), np.nan)
        for column, target in enumerate(targets):
            kept = self._kept.get((attack, target)) if target in judged else None
            if kept is None:
                continue
            values = kept.astype(np.float64)
            if kept.dtype == np.uint8:
                values[kept == _NOT_COUNTED] = np.nan
            found[: len(kept), column] = values
        return found


def _small(place: npt.NDArray[np.int64], values: Reals) -> npt.NDArray[np.uint8] | Reals:
    """Return values by the place of their example: in bytes if all are 0, 1 or NaN."""
    missing = np.isnan(values)
    if np.isin(values[~missing], (0.0, 1.0)).all():
        small = np.full(place.max(initial=-1) + 1, _NOT_COUNTED, np.uint8)
        small[place[~missing]] = values[~missing]
        return small
    wide = np.full(place.max(initial=-1) + 1, np.nan)
    wide[place] = values
    return wide
