"""The layout of Labeled Faces in the Wild: ``Name/Name_0001.jpg`` and View 2's ``pairs.txt``."""

from __future__ import annotations

from textwrap import shorten
from typing import Literal

from gauntlet.pipeline.data.csv_table import whole_number
from gauntlet.pipeline.data.found import Found
from gauntlet.pipeline.data.numbered_people import DIFFERENT_FORM, SAME_FORM, pictures, words_of
from gauntlet.pipeline.data.sources.paired import NamedPair
from gauntlet.pipeline.data.sources.published import PairListFile, Published
from gauntlet.pipeline.data.sources.source import register
from gauntlet.pipeline.data.text_file import read_text


@register
class Lfw(Published):
    """Labeled Faces in the Wild, or a data set laid out like it."""

    source: Literal["lfw"]
    """Kind of source."""
    root: str
    """Folder with `Name/Name_0001.jpg` for each person; other image suffixes will do."""
    pairs: str | None = None
    """View-2 list of pairs; `pairs.txt` in `root` by default."""

    def default_pairs(self) -> str:
        """``pairs.txt``."""
        return "pairs.txt"

    def listed(self, file: PairListFile, found: Found) -> list[NamedPair]:
        """Read a View-2 list of pairs.

        The first line is ``sets n``; each set has n lines ``Name i j`` (one person) and then n
        lines ``Name i Other j`` (two people). Sets are the folds.
        """
        text, name = read_text(file.path, file.name, "data.pairs", found), file.name
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
                "expected the numbers of sets and of pairs of a kind, as in '10 300', got "
                f"{line!r}",
            )
            return []
        sets, size = numbers[0], numbers[1]
        if sets < 2:
            found.add(f"{name}:1", f"{sets} set, the protocol needs two or more")
        if len(lines) - 1 != sets * 2 * size:
            found.add(
                name,
                f"{len(lines) - 1} pairs, expected {sets} sets of {size} + {size} by its first "
                "line",
            )
            return []
        pairs = []
        for row, line in enumerate(lines[1:]):
            where, same = f"{name}:{row + 2}", row % (2 * size) < size
            words = words_of(line, same)
            if words is None:
                form = SAME_FORM if same else DIFFERENT_FORM
                found.add(where, f"{line.strip()!r}, expected a pair of the form {form}")
            elif (images := pictures(words, where, found)) is not None:
                pairs.append(NamedPair(*images, same, row // (2 * size), where))
        return pairs
