"""What went wrong in a run, as its report counts it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gauntlet.pipeline.results.reading import Reading

KEPT = 50
"""Failures that are kept to be shown."""
_COLUMNS = ("example", "attack", "stage", "reason", "unit")


@dataclass(frozen=True)
class FailureCounts:
    """The failures of a run.

    Attributes:
        stages: how many there are at each stage, the most first.
        first: the first rows, by column.
    """

    stages: dict[str, int]
    first: list[dict[str, Any]]

    @classmethod
    def of(cls, reading: Reading) -> FailureCounts:
        """Count a run's failures, and keep the first `KEPT`."""
        stages: dict[str, int] = {}
        first: list[dict[str, Any]] = []
        for batch in reading.batches("failures", _COLUMNS):
            for found in batch.column("stage").value_counts().to_pylist():
                stage = found["values"]
                stages[stage] = stages.get(stage, 0) + found["counts"]
            first += batch.slice(0, KEPT - len(first)).to_pylist()
        most = sorted(stages.items(), key=lambda item: -item[1])
        return cls(dict(most), first)

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(self.stages.values())
