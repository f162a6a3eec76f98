"""What carriers spend on their own work, and whether that limits a run."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Collection

from gauntlet.pipeline.run.order import Spent

ENOUGH = 6
"""Loops of each carrier after which it is judged, by the later half: the first ones start up."""
LIMIT = 0.5
"""Share of a loop above which its carrier, not the surrogates, is what others wait for.

With n loops at a time a carrier that surrogates wait for all the time spends n/(n+1) of each on its
own work, and one that waits for them all the time at most 1/n.
"""


class Efforts:
    """What carriers have told since the last of them was started; safe to use from threads."""

    def __init__(self) -> None:
        self._told: dict[int, list[Spent]] = defaultdict(list)
        self._lock = threading.Lock()

    def limiting(self, carrier: int, spent: Spent, living: Collection[int]) -> float | None:
        """Take in what a carrier tells.

        Args:
            carrier: its number.
            spent: by one loop.
            living: numbers of all carriers that are not lost.

        Returns:
            The share of their time that the carriers spend on their own work, once all have told
            enough and if it is what limits the run; None otherwise. Then they are asked anew.
        """
        with self._lock:
            self._told[carrier].append(spent)
            told = [self._told.get(number, []) for number in living]
            if any(len(one) < ENOUGH for one in told):
                return None
            later = [one for each in told for one in each[ENOUGH // 2 :]]
            own, waited = sum(one.own for one in later), sum(one.waited for one in later)
            self._told.clear()
            return own / (own + waited) if own > LIMIT * (own + waited) else None
