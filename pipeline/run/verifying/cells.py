"""Which rows of a table were met: a bit for each that there may be."""

from __future__ import annotations

import numpy as np


class Cells:
    """A bit for each attack x place in it x example; a place is a target at a step, say.

    Args:
        attacks: their number.
        places: rows that an attack has of an example, at most.
        examples: their number.
    """

    def __init__(self, attacks: int, places: int, examples: int) -> None:
        self._places, self._examples = places, examples
        self._bits = np.zeros(-(-attacks * places * examples // 8), np.uint8)

    def mark(self, attack: np.ndarray, place: np.ndarray, example: np.ndarray) -> int:
        """Note rows; return how many of them had been met before.

        Args:
            attack: their numbers, int64 (R,).
            place: the same.
            example: the same.
        """
        cells = (attack * self._places + place) * self._examples + example
        fresh = np.unique(cells)
        byte, bit = fresh >> 3, np.left_shift(1, fresh & 7).astype(np.uint8)
        before = np.count_nonzero(self._bits[byte] & bit)
        np.bitwise_or.at(self._bits, byte, bit)
        return len(cells) - len(fresh) + int(before)

    def of(self, attack: int) -> np.ndarray:
        """Return which rows of an attack were met, bool (places, examples)."""
        size = self._places * self._examples
        start, stop = attack * size, (attack + 1) * size
        bits = np.unpackbits(self._bits[start // 8 : -(-stop // 8)], bitorder="little")
        found = bits[start % 8 : start % 8 + size].astype(bool)
        return found.reshape(self._places, self._examples)
