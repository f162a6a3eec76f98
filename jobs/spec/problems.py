"""Collecting everything that is wrong with a job before saying so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from gauntlet.jobs.spec.document import Document, Where
from gauntlet.jobs.spec.wording import Complaint
from gauntlet.pipeline.problems import BadInput, Problem

MOST = 200
"""Problems of one job; with more of them nothing else is checked."""


class Problems:
    """The problems found in one document, each at its place."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self._found: dict[tuple[str, str], int] = {}

    def __len__(self) -> int:
        return len(self._found)

    def add(self, where: Where, what: str) -> None:
        """Report something at a place of the job; the same words at the same place count once.

        Raises:
            BadInput: with all problems, when there are so many that looking for more helps nobody.
        """
        line = self.document.line(where)
        self._found.setdefault((self.document.describe(where), what), line)
        if len(self._found) >= MOST:
            first = Problem(self.document.name, f"{MOST:,} problems: the rest was not checked")
            raise BadInput([first, *self.in_order])

    @property
    def in_order(self) -> list[Problem]:
        """Everything found, in the order of the file."""
        ordered = sorted(self._found.items(), key=lambda item: item[1])
        return [Problem(where, what) for (where, what), _ in ordered]


def nested(locate: Callable[[Where], Where], problems: Iterable[Problem]) -> Iterator[Complaint]:
    """Yield what a part of the pipeline found in a section of the job, at its places in the job.

    Args:
        locate: gives the place in the job of a place in the section.
        problems: with a field of the section (``source``, ``data.pairs``) in ``where``, or a
            place outside the job, such as a line of a pair list, which is then said in front
            of the message.
    """
    for problem in problems:
        field = problem.where.removeprefix("data.")
        if problem.where in ("", "data"):
            yield Complaint(locate(()), problem.what)
        elif field.isidentifier():
            yield Complaint(locate((field,)), problem.what)
        else:
            yield Complaint(locate(()), f"{problem.where}: {problem.what}")
