"""Collecting what a reader has to say: what is wrong, what it left out, how it read the rest."""

from __future__ import annotations

from collections.abc import Iterable

from gauntlet.pipeline.data.account import LeftOut
from gauntlet.pipeline.problems import BadInput, Problem

CAP = 20


class Found:
    """What readers of one data set found: problems, one a cause, and what a person should know.

    Attributes:
        notes: how the data were read where they could be read in more than one way.
        left_out: files that are not read, one entry a cause.
    """

    def __init__(self) -> None:
        self._causes: dict[object, _Cause] = {}
        self.notes: list[str] = []
        self.left_out: list[LeftOut] = []

    def __bool__(self) -> bool:
        return bool(self._causes)

    def add(self, where: str, what: str, many: str | None = None) -> None:
        """Record a problem at a field (``data.pairs``) or a line of a file (``pairs.csv:17``).

        Args:
            where: the place.
            what: what was found, what was expected, what to do.
            many: how to count what has the same cause, such as ``needed by {} pairs``: problems in
                the same words become one, at the first place. None: each stands alone.
        """
        key: object = len(self._causes) if many is None else (what, many)
        self._causes.setdefault(key, _Cause(where, what, many)).count += 1

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
    def problems(self) -> list[Problem]:
        """The first 20 problems, and a last entry that counts the others."""
        causes = list(self._causes.values())
        problems = [cause.problem for cause in causes[:CAP]]
        if len(causes) > CAP:
            more = len(causes) - CAP
            problems.append(Problem("data", f"and {more} more problems like these"))
        return problems

    def raise_if_any(self) -> None:
        """Raise `BadInput` with what was found, if anything was."""
        if self._causes:
            raise BadInput(self.problems)


class _Cause:
    """A problem, and how often it was met."""

    def __init__(self, where: str, what: str, many: str | None) -> None:
        self._where, self._what, self._many = where, what, many
        self.count = 0

    @property
    def problem(self) -> Problem:
        if self._many is None or self.count == 1:
            return Problem(self._where, self._what)
        return Problem(self._where, f"{self._what} ({self._many.format(f'{self.count:,}')})")
