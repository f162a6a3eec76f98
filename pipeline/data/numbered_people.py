"""Lines that name pictures by person and number, as Labeled Faces in the Wild has them."""

from __future__ import annotations

import re

from gauntlet.pipeline.data.csv_table import whole_number
from gauntlet.pipeline.data.found import Found

SAME_FORM, DIFFERENT_FORM = "'Name 1 2'", "'Name 1 Other 2'"
# Names that hold blanks, in a line without tabs.
_SAME = re.compile(r"(.+?)\s+(\d+)\s+(\d+)")
_DIFFERENT = re.compile(r"(.+?)\s+(\d+)\s+(.+?)\s+(\d+)")


def words_of(line: str, same: bool) -> list[str] | None:
    """Return names and numbers of a pair; None for a line of another form.

    Tabs or blanks part the words; names may hold blanks.

    Args:
        line: ``Name i j`` (one person) or ``Name i Other j`` (two people).
        same: which of them.
    """
    line = line.strip()
    for words in (line.split("\t"), line.split()):
        if len(words) == (3 if same else 4):
            return [word.strip() for word in words]
    match = (_SAME if same else _DIFFERENT).fullmatch(line)
    return list(match.groups()) if match else None


def pictures(words: list[str], where: str, found: Found) -> tuple[str, str] | None:
    """Return the two pictures of a pair as the data set has them, ``Name/Name_0001.jpg``.

    Args:
        words: three for one person, four for two.
        where: the line, for problems.
        found: takes what is no person or no number.
    """
    one, first, *other, second = words
    people = (one, other[0] if other else one)
    names = [
        _picture(person, number, where, found)
        for person, number in zip(people, (first, second), strict=True)
    ]
    return (names[0], names[1]) if names[0] and names[1] else None


def _picture(person: str, number: str, where: str, found: Found) -> str | None:
    index = whole_number(number)
    if index is None or "/" in person or person.startswith("."):
        found.add(where, f"'{person} {number}' is no person and picture number")
        return None
    return f"{person}/{person}_{index:04d}.jpg"
