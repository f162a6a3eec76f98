"""Bad input, described for the person who can mend it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

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
        return escaped(text)  # it may name a file whose name is no text


class BadInput(ValueError):
    """Raised with *all* problems found in an input, before any work is done on it."""

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        found = (problems,) if isinstance(problems, Problem) else tuple(problems)
        self.problems: tuple[Problem, ...] = found
        super().__init__("\n".join(str(problem) for problem in found))

    def __reduce__(self) -> tuple[type[BadInput], tuple[tuple[Problem, ...]]]:
        # Exceptions cross process borders by pickle, which would pass the message otherwise.
        return type(self), (self.problems,)


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
