"""Columns of a table, put together from blocks of rows."""

from __future__ import annotations

from typing import Any

import numpy as np


class Columns:
    """Collects blocks of rows; numbers stay in arrays, however many blocks there are."""

    def __init__(self) -> None:
        self._blocks: dict[str, list[Any]] = {}

    def add(self, rows: int, **values: Any) -> None:
        """Add a block.

        Args:
            rows: its number of rows.
            values: for each column a list or array of that many entries, or one value for all.
        """
        for name, value in values.items():
            if not isinstance(value, list | np.ndarray):
                text = value is None or isinstance(value, str)
                value = [value] * rows if text else np.full(rows, value)
            self._blocks.setdefault(name, []).append(value)

    def joined(self) -> dict[str, list[Any] | np.ndarray]:
        """Return the columns, in one piece each; no column at all without a block."""
        return {name: _joined(blocks) for name, blocks in self._blocks.items()}


def _joined(blocks: list[Any]) -> list[Any] | np.ndarray:
    if all(isinstance(block, np.ndarray) for block in blocks):
        return np.concatenate(blocks)
    return [entry for block in blocks for entry in block]
