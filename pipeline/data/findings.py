"""Collecting what is wrong with a data set, up to a number that a person still reads."""

from __future__ import annotations

from pipeline.problems import BadInput, Problem

CAP = 20


class Found:
    """Problems found so far; from the 21st on they are only counted."""

    def __init__(self) -> None:
        self._problems: list[Problem] = []
        self._more = 0

    def __bool__(self) -> bool:
        return bool(self._problems)

    def add(self, where: str, what: str) -> None:
        """Record a problem at a field (``data.pairs``) or a line of a file (``pairs.csv:17``)."""
        if len(self._problems) < CAP:
            self._problems.append(Problem(where, what))
        else:
            self._more += 1

    @property
    def problems(self) -> list[Problem]:
        """The first problems, and a last entry that counts the others."""
        if not self._more:
            return list(self._problems)
        return [*self._problems, Problem("data", f"and {self._more} more problems like these")]

    def raise_if_any(self) -> None:
        """Raise `BadInput` with what was found, if anything was."""
        if self._problems:
            raise BadInput(self.problems)
