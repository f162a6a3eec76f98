"""Collecting everything that is wrong with a job before saying so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from gauntlet.jobs.spec.document import Document, Where
from gauntlet.jobs.spec.wording import Complaint
from gauntlet.pipeline.problems import BadInput, Problem, Problems

MOST = 200
"""Problems of one job; with more of them nothing else is checked."""


class JobProblems(Problems):
    """The problems found in one document, each at its place."""

    def __init__(self, document: Document) -> None:
        super().__init__()
        self.document = document

    def add(self, where: Where, what: str) -> None:
        """Report something at a place of the job; the same words at the same place count once.

        Raises:
            BadInput: with all problems, when there are so many that looking for more helps nobody.
        """
        found = Problem(self.document.describe(where), what)
        self.record(found, line=self.document.line(where))
        if len(self) >= MOST:
            first = Problem(self.document.name, f"{MOST:,} problems: the rest was not checked")
            raise BadInput([first, *self.in_order])


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
