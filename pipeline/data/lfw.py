"""The layout of Labeled Faces in the Wild: ``Name/Name_0001.jpg`` and View 2's ``pairs.txt``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.data.csv_table import whole_number
from pipeline.data.findings import Found


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
    ``Name i Other j`` (two people). Sets are the folds.

    Args:
        path: the list.
        name: what to call it in problems.
        root: folder of the images.
        found: takes the problems: no such file, a line of another form, an image that is missing.
    """
    if not path.is_file():
        found.add("data.pairs", f"no such file: {path}")
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    while lines and not lines[-1].strip():
        lines.pop()
    numbers = [whole_number(word) for word in lines[0].split()] if lines else []
    if len(numbers) != 2 or not numbers[0] or not numbers[1]:
        found.add(
            f"{name}:1", "expected the numbers of sets and of pairs of a kind, as in '10 300'"
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
    return list(_parsed(lines, size, name, root, found))


def _parsed(
    lines: list[str], size: int, name: str, root: Path, found: Found
) -> Iterator[NamedPair]:
    for row, line in enumerate(lines[1:]):
        where = f"{name}:{row + 2}"
        same = row % (2 * size) < size
        words = line.split()
        if len(words) != (3 if same else 4):
            form = "'Name 1 2'" if same else "'Name 1 Other 2'"
            found.add(where, f"{line.strip()!r}, expected a pair of the form {form}")
            continue
        people = (words[0], words[0]) if same else (words[0], words[2])
        images = [
            _image(root, person, number, where, found)
            for person, number in zip(people, (words[1], words[-1]), strict=True)
        ]
        if images[0] and images[1]:
            yield NamedPair(images[0], images[1], same, row // (2 * size), where)


def _image(root: Path, person: str, number: str, where: str, found: Found) -> str | None:
    index = whole_number(number)
    if index is None or "/" in person or person.startswith("."):
        found.add(where, f"'{person} {number}' is no person and picture number")
        return None
    stem = f"{person}/{person}_{index:04d}"
    for suffix in (".jpg", ".png"):
        if (root / (stem + suffix)).is_file():
            return stem + suffix
    found.add(where, f"no image {stem}.jpg (or .png) in {root}")
    return None
