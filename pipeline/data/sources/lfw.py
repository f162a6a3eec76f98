"""The layout of Labeled Faces in the Wild: ``Name/Name_0001.jpg`` and View 2's ``pairs.txt``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from textwrap import shorten
from typing import ClassVar, Literal

from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.data.csv_table import whole_number
from gauntlet.pipeline.data.decoding import Fit
from gauntlet.pipeline.data.found import Found
from gauntlet.pipeline.data.listing import Listing
from gauntlet.pipeline.data.lookup import find_files, report_missing
from gauntlet.pipeline.data.sources.paired import (
    PAIRS,
    NamedPair,
    Paired,
    image_names,
    listing_of,
)
from gauntlet.pipeline.data.sources.source import Side, Size, register
from gauntlet.pipeline.data.stores import FileImages
from gauntlet.pipeline.data.text_file import read_text
from gauntlet.pipeline.files import expanded

# Names that hold blanks, in a line without tabs.
_SAME = re.compile(r"(.+?)\s+(\d+)\s+(\d+)")
_DIFFERENT = re.compile(r"(.+?)\s+(\d+)\s+(.+?)\s+(\d+)")


@register
class Lfw(Paired):
    """Labeled Faces in the Wild, or a data set laid out like it."""

    paths: ClassVar[tuple[str, ...]] = ("root", "pairs", "ids")
    source: Literal["lfw"]
    """Kind of source."""
    root: str
    """Folder with `Name/Name_0001.jpg` for each person; other image suffixes will do."""
    pairs: str | None = None
    """View-2 list of pairs; `pairs.txt` in `root` by default."""
    size: Size = (112, 112)
    """Height and width to resize to (bilinear, antialiased)."""
    crop: Side | None = None
    """Side of a central square that is cut out before the resize, in pixels."""

    def image_size(self, base: Path) -> tuple[int, int]:
        """What the images are resized to."""
        return self.size

    def read(self, goal: Goal, base: Path, found: Found) -> Listing | None:
        """Read the View-2 list of pairs."""
        root = base / expanded(self.root)
        if not root.is_dir():
            found.add("data.root", f"no such folder: {root}")
            return None
        given = self.pairs or str(Path(self.root) / "pairs.txt")
        pairs = read_pairs(base / expanded(given), given, root, found)
        if not pairs:
            return None
        crop = None if self.crop is None else (self.crop, self.crop)
        store = FileImages(root, image_names(pairs), Fit(crop=crop, size=self.size))
        return listing_of(store, pairs, self.attacked_kind(goal), found)


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
