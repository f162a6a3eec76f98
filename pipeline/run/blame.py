"""Who is to blame for units that fail: the unit, its worker, or what all of them have in common.

A unit that fails is tried on another worker, and counts as failed when it failed there, too. An
attack of which a unit so failed, and none was ever finished, is to blame itself; what fails of
others speaks against the worker. Storage that fails is nobody's fault here (`results.patience`).
"""

from __future__ import annotations

from collections import Counter, defaultdict

IN_A_ROW = 3
"""Batches of which a worker finished nothing, one after the other, before it is sick; units that
fail for good before a cause is common to all, at least."""


class CommonCause(RuntimeError):
    """Everything fails, wherever it is tried: the run stops instead of failing every unit."""


class Blame:
    """What is known of attacks and workers from the units that they finished and failed.

    Args:
        attacks: how many the run has.
    """

    def __init__(self, attacks: int) -> None:
        self._attacks = attacks
        self._row: defaultdict[int, set[tuple[str, ...]]] = defaultdict(set)
        self._sound: set[str] = set()
        self._bad: Counter[str] = Counter()

    def finished(self, worker: int, attack: str) -> None:
        """Note a unit that a worker finished."""
        self._row[worker].clear()
        self._sound.add(attack)
        self._bad.pop(attack, None)

    def failed(self, worker: int, attack: str, batch: tuple[str, ...]) -> bool:
        """Note a unit that a worker failed; return whether that shows that it is sick.

        Args:
            worker: its number.
            attack: the unit's.
            batch: ids of the unit's examples.
        """
        if attack in self._bad:
            return False
        row = self._row[worker]
        row.add(batch)
        if len(row) < IN_A_ROW:
            return False
        row.clear()  # the one that takes its place begins anew
        return True

    def given_up(self, attack: str) -> bool:
        """Note a unit that failed for good; return whether nothing of this run ever worked."""
        if attack not in self._sound:
            self._bad[attack] += 1
        every = len(self._bad) == self._attacks and not self._sound
        return every and self._bad.total() >= IN_A_ROW
