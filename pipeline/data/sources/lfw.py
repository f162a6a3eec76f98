"""The layout of Labeled Faces in the Wild: ``Name/Name_0001.jpg`` and View 2's ``pairs.txt``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import shorten

from gauntlet.pipeline.data.csv_table import whole_number
from gauntlet.pipeline.data.findings import Found
from gauntlet.pipeline.data.lookup import find_files, report_missing
from gauntlet.pipeline.data.text_file import read_text

PAIRS = "needed by {} pairs"
"""How the lines of one missing image are counted."""
# Names that hold blanks, in a line without tabs.
_SAME = re.compile(r"(.+?)\s+(\d+)\s+(\d+)")
_DIFFERENT = re.compile(r"(.+?)\s+(\d+)\s+(.+?)\s+(\d+)")


@dataclass(frozen=True)
class NamedPair:
    """One line of a list of pairs: two images by name, and where it was read."""

    first: str
    second: str
    same: bool
    fold: int
    where: str


def read_pairs(path: Path, name: str, root: Path, found: Found) -> list[NamedPair]:
    """Read a View-2 list of pairs.

    The first line is ``sets n``; each set has n lines ``Name i j`` (one person) and then n lines
    ``Name i Other j`` (two people). Sets are the folds. Tabs or blanks part the words of a line;
    names may hold blanks. Images may have any suffix.

    Args:
        path: the list.
        name: what to call it in problems.
        root: folder of the images.
        found: takes the problems: no such file, a line of another form, an image that is missing.
    """
    text = read_text(path, name, "data.pairs", found)
    if text is None:
        return []
    lines = text.split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    numbers = [whole_number(word) for word in lines[0].split()] if lines else []
    if len(numbers) != 2 or not numbers[0] or not numbers[1]:
        line = shorten(lines[0], 60) if lines else ""
        found.add(
            f"{name}:1",
            f"expected the numbers of sets and of pairs of a kind, as in '10 300', got {line!r}",
        )
        return []
    sets, size = numbers[0], numbers[1]
    if sets < 2:
        found.add(f"{name}:1", f"{sets} set, the protocol needs two or more")
    if len(lines) - 1 != sets * 2 * size:
        found.add(
            name,
            f"{len(lines) - 1} pairs, expected {sets} sets of {size} + {size} by its first line",
        )
        return []
    written = _parsed(lines[1:], size, name, Found())  # what is wrong is said below, line by line
    ends = [image for pair in written for image in (pair.first, pair.second)]
    named = find_files(ends, root, name, found)
    pairs = []
    for pair in _parsed(lines[1:], size, name, found):
        files = [named.files.get(image) for image in (pair.first, pair.second)]
        for image in dict.fromkeys((pair.first, pair.second)):
            if image not in named.files:
                report_missing(named, image, pair.where, root, "data.root", PAIRS, found)
        if files[0] is not None and files[1] is not None:
            pairs.append(replace(pair, first=files[0], second=files[1]))
    return pairs


def _parsed(lines: list[str], size: int, name: str, found: Found) -> Iterator[NamedPair]:
    """Yield the pairs with their images as LFW itself has them, ``Name/Name_0001.jpg``."""
    for row, line in enumerate(lines):
        where = f"{name}:{row + 2}"
        same = row % (2 * size) < size
        words = _words(line.strip(), same)
        if words is None:
            form = "'Name 1 2'" if same else "'Name 1 Other 2'"
            found.add(where, f"{line.strip()!r}, expected a pair of the form {form}")
            continue
        one, first, *other, second = words
        people = (one, other[0] if other else one)
        images = [
            _image(person, number, where, found)
            for person, number in zip(people, (first, second), strict=True)
        ]
        if images[0] and images[1]:
            yield NamedPair(images[0], images[1], same, row // (2 * size), where)


def _words(line: str, same: bool) -> list[str] | None:
    """Return names and numbers of a pair; None for a line of another form."""
    for words in (line.split("\t"), line.split()):
        if len(words) == (3 if same else 4):
            return [word.strip() for word in words]
    match = (_SAME if same else _DIFFERENT).fullmatch(line)
    return list(match.groups()) if match else None


def _image(person: str, number: str, where: str, found: Found) -> str | None:
    index = whole_number(number)
    if index is None or "/" in person or person.startswith("."):
        found.add(where, f"'{person} {number}' is no person and picture number")
        return None
    return f"{person}/{person}_{index:04d}.jpg"
