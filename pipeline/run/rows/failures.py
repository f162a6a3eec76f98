"""What went wrong in a run, as rows of the failures table."""

from __future__ import annotations

from typing import Any


class Failures:
    """Collects the failures of one unit of work, or of a stage before any attack.

    Args:
        seed: of the unit's attack.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._seed = seed
        self._rows: list[tuple[str | None, str | None, str, str]] = []

    def add(self, example: str | None, stage: str, reason: str, attack: str | None = None) -> None:
        """Add a row.

        Args:
            example: its id; None for the unit.
            stage: where it went wrong.
            reason: why.
            attack: label of the attack; None for inputs.
        """
        self._rows.append((example, attack, stage, reason))

    def columns(self) -> dict[str, Any]:
        """Return the rows by column; no column at all without a row."""
        names = ("example", "attack", "stage", "reason")
        columns: dict[str, Any] = {
            name: [*column]
            for name, column in zip(names, zip(*self._rows, strict=True), strict=False)
        }
        if columns:
            columns["seed"] = [
                None if attack is None else self._seed for attack in columns["attack"]
            ]
        return columns
