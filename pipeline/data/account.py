"""What was read of a data set, for the person who thinks to know it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gauntlet.pipeline.results.manifest import DataRecord

FIRST = 3
"""How many names stand for all."""


def first_names(names: Sequence[str], count: int | None = None) -> str:
    """Return the first names of a list, and dots if there are more.

    Args:
        names: at least the first ones.
        count: how many there are; all of ``names`` by default.
    """
    count = len(names) if count is None else count
    return ", ".join(names[:FIRST]) + (", ..." if count > FIRST else "")


@dataclass(frozen=True)
class LeftOut:
    """Files that a reader passed over for one cause.

    Attributes:
        cause: why, in words that follow a number of files (``with suffix .heic``).
        count: how many.
        first: the first names.
    """

    cause: str
    count: int
    first: tuple[str, ...]

    @classmethod
    def of(cls, cause: str, names: Sequence[str]) -> LeftOut:
        """Return the entry of some names."""
        return cls(cause, len(names), tuple(names[:FIRST]))

    def __str__(self) -> str:
        return f"{self.count:,} {self.cause} ({first_names(self.first, self.count)})"


@dataclass(frozen=True)
class Account:
    """What a source holds, whichever of it a job attacks.

    Attributes:
        held: number of examples in the source.
        labels: lowest and highest label; None for pairs, as all that follows but `notes` and
            `left_out`.
        present: number of classes that have an example.
        classes: number of classes.
        notes: how the data were read where they could be read in more than one way.
        left_out: files that are not read, one entry a cause.
    """

    held: int = 0
    labels: tuple[int, int] | None = None
    present: int = 0
    classes: int | None = None
    notes: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()

    def record(self, examples: int) -> DataRecord:
        """Return the account as a run's manifest holds it, with the number of chosen examples."""
        return DataRecord(
            examples=examples,
            held=self.held,
            labels=self.labels,
            classes_present=self.present if self.labels else None,
            classes=self.classes,
            notes=list(self.notes),
            left_out={entry.cause: entry.count for entry in self.left_out},
        )
