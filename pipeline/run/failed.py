"""What went wrong in a unit of work, as rows of the failures table."""

from __future__ import annotations

from gauntlet.pipeline.results.folder import RunFolder


class Failed:
    """Collects the failures of one attack on one batch, or of a stage before any attack.

    Args:
        attack: label of the attack; None for inputs.
    """

    def __init__(self, attack: str | None) -> None:
        self._attack = attack
        self._rows: list[tuple[str | None, str, str]] = []

    def add(self, example: str | None, stage: str, reason: str) -> None:
        """Add a row: which example (None for the unit), at which stage, and why."""
        self._rows.append((example, stage, reason))

    def write(self, folder: RunFolder, unit: str) -> None:
        """Write the rows, replacing those of an earlier attempt; no file if there are none.

        Args:
            folder: of the run.
            unit: of work, or what else names the rows.
        """
        if not self._rows:
            folder.delete(f"failures/{unit}.parquet")
            return
        examples, stages, reasons = (list(column) for column in zip(*self._rows, strict=True))
        folder.write_rows(
            "failures",
            unit,
            {"example": examples, "attack": self._attack, "stage": stages, "reason": reasons},
        )
