"""What went wrong in a run, as rows of the failures table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gauntlet.pipeline.results.folder import RunFolder
from gauntlet.pipeline.results.record.entries import TableFile


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

    def write(
        self, folder: RunFolder, unit: str, units: Sequence[str] | None = None
    ) -> list[TableFile]:
        """Write the rows, replacing those of an earlier attempt; no file if there are none.

        Args:
            folder: of the run.
            unit: of work, or what else names the rows.
            units: those that write the rows anew; by default the unit.

        Returns:
            The file, for a commit; none if there are no rows.
        """
        if not self._rows:
            folder.delete(f"failures/{unit}.parquet")
            return []
        examples, stages, reasons = (list(column) for column in zip(*self._rows, strict=True))
        rows = {"example": examples, "attack": self._attack, "stage": stages, "reason": reasons}
        return [folder.write_rows("failures", unit, rows, units)]
