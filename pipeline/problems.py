"""Bad input, described for the person who can mend it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gauntlet.pipeline.credentials import without_credentials
from gauntlet.pipeline.files import escaped


@dataclass(frozen=True)
class Problem:
    """One thing wrong with an input.

    Attributes:
        where: file, line and field, as far as they are known (``job.yaml:12: attacks.steps``).
        what: what was found, what was expected, and what to do.
    """

    where: str
    what: str

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        # It may name a file whose name is no text, or repeat an address with a password in it.
        return escaped(without_credentials(text))


class BadInput(ValueError):
    """Raised with *all* problems found in an input, before any work is done on it."""

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        found = (problems,) if isinstance(problems, Problem) else tuple(problems)
        self.problems: tuple[Problem, ...] = found
        super().__init__("\n".join(str(problem) for problem in found))

    def __reduce__(self) -> tuple[type[BadInput], tuple[tuple[Problem, ...]]]:
        # Exceptions cross process borders by pickle, which would pass the message otherwise.
        return type(self), (self.problems,)


class Problems:
    """Problems of one input, collected so that all are told at once; what recurs is told once."""

    def __init__(self) -> None:
        self._causes: dict[object, _Cause] = {}

    def __len__(self) -> int:
        return len(self._causes)

    def record(self, problem: Problem, many: str | None = None, line: int = 0) -> None:
        """Record a problem, or that it was met once more.

        Args:
            problem: what was found, and where.
            many: how to count what has the same cause, such as ``needed by {} pairs``: problems in
                the same words become one, at the first place. None: only at the same place.
            line: where in the file that is being read.
        """
        key = problem if many is None else (problem.what, many)
        self._causes.setdefault(key, _Cause(problem, many, line)).count += 1

    @property
    def in_order(self) -> list[Problem]:
        """Everything found, in the order of the file; on one line, as it was found."""
        return [cause.told for cause in sorted(self._causes.values(), key=lambda c: c.line)]

    def raise_if_any(self) -> None:
        """Raise `BadInput` with what was found, if anything was."""
        if self._causes:
            raise BadInput(self.in_order)


@dataclass
class _Cause:
    """A problem, and how often it was met."""

    problem: Problem
    many: str | None
    line: int
    count: int = 0

    @property
    def told(self) -> Problem:
        if self.many is None or self.count == 1:
            return self.problem
        counted = self.many.format(f"{self.count:,}")
        return Problem(self.problem.where, f"{self.problem.what} ({counted})")


_COMPARED = 500
"""Known words that an unknown one is compared with."""
_LISTED = 100


def suggest(word: str, known: Sequence[str], noun: str, listed: int = _LISTED) -> str:
    """Return "unknown <noun> 'word'; did you mean 'x'? known: ..." for an error message.

    Of hundreds of known words only the first are compared, and ``listed`` are listed.
    """
    folded = {name.lower(): name for name in known[:_COMPARED]}
    close = difflib.get_close_matches(word.lower(), list(folded), n=2, cutoff=0.5)
    near = [folded[name] for name in close]
    hint = f"; did you mean {' or '.join(repr(name) for name in near)}?" if near else ";"
    more = f" and {len(known) - listed} more" if len(known) > listed else ""
    return f"unknown {noun} {word!r}{hint} known: {', '.join(known[:listed])}{more}"
