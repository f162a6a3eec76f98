"""Collecting what a reader has to say: what is wrong, what it left out, how it read the rest."""

from __future__ import annotations

from collections.abc import Iterable

from gauntlet.pipeline.data.account import LeftOut
from gauntlet.pipeline.problems import Problem, Problems

CAP = 20
"""Problems of one data set that are told; of the others only the number."""


class Found(Problems):
    """What readers of one data set found: problems, and what a person should know.

    Attributes:
        notes: how the data were read where they could be read in more than one way.
        left_out: files that are not read, one entry a cause.
    """

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []
        self.left_out: list[LeftOut] = []

    def add(self, where: str, what: str, many: str | None = None) -> None:
        """Record a problem at a field (``data.pairs``) or a line of a file (``pairs.csv:17``).

        Args:
            where: the place.
            what: what was found, what was expected, what to do.
            many: how to count what has the same cause, see `Problems.record`.
        """
        self.record(Problem(where, what), many)

    def note(self, text: str) -> None:
        """Record how something was read."""
        self.notes.append(text)

    def leave_out(self, cause: str, names: Iterable[str]) -> None:
        """Record files that are not read, if there are any.

        Args:
            cause: why, in words that follow a number of files (``with suffix .heic``).
            names: the files.
        """
        if listed := sorted(names):
            self.left_out.append(LeftOut.of(cause, listed))

    @property
    def in_order(self) -> list[Problem]:
        """The first 20 problems, and a last entry that counts the others."""
        problems = super().in_order
        if more := len(problems[CAP:]):
            problems[CAP:] = [Problem("data", f"and {more} more problems like these")]
        return problems
