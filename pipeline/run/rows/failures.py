"""What went wrong in a run, as rows of the failures table."""

from __future__ import annotations

from collections.abc import Iterable

from gauntlet.pipeline.results.run_folder import RunFolder


class Failures:
    """Collects the failures of one attack on one batch, or of a stage before any attack.

    Args:
        attack: label of the attack; None for inputs.
        rows: the first ones, each as `add` takes it.
    """

    def __init__(
        self, attack: str | None, rows: Iterable[tuple[str | None, str, str]] = ()
    ) -> None:
        self._attack = attack
        self._rows = list(rows)

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
