"""Racial Faces in the Wild: four tests in the form of Labeled Faces in the Wild.

Wang, Deng, Hu, Tao, Huang: Racial Faces in the Wild: Reducing Racial Bias by Information
Maximization Adaptation Network. ICCV 2019. As packed in ``test.tar.gz``: ``data/African/m.01/
m.01_0001.jpg`` and ``txts/African/African_pairs.txt``, without a first line of counts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from gauntlet.pipeline.data.found import Found
from gauntlet.pipeline.data.numbered_people import DIFFERENT_FORM, SAME_FORM, pictures, words_of
from gauntlet.pipeline.data.sources.paired import NamedPair
from gauntlet.pipeline.data.sources.published import PairListFile, Published, in_blocks
from gauntlet.pipeline.data.sources.source import register
from gauntlet.pipeline.data.text_file import read_text


@register
class Rfw(Published):
    """One of the four tests of Racial Faces in the Wild."""

    source: Literal["rfw"]
    """Kind of source."""
    root: str
    """Folder that holds `data` and `txts`, as `test` of the authors' archive."""
    race: Literal["African", "Asian", "Caucasian", "Indian"]
    """Which of the tests: images in `data/RACE`."""
    pairs: str | None = None
    """The list of pairs; `txts/RACE/RACE_pairs.txt` in `root` by default."""

    def default_pairs(self) -> str:
        """``txts/African/African_pairs.txt``."""
        return f"txts/{self.race}/{self.race}_pairs.txt"

    def images(self, root: Path) -> Path:
        """Return the folder of the test's people."""
        return root / "data" / self.race

    def listed(self, file: PairListFile, found: Found) -> list[NamedPair]:
        """Read lines ``Name i j`` (one person) and ``Name i Other j`` (two), in any order."""
        text = read_text(file.path, file.name, "data.pairs", found) or ""
        pairs = []
        for row, line in enumerate(text.split("\n")):
            where = f"{file.name}:{row + 1}"
            if not line.strip():
                continue
            same = next((kind for kind in (True, False) if words_of(line, kind)), None)
            if same is None:
                what = f"{line.strip()!r}, expected a pair of the form {SAME_FORM} or "
                found.add(where, what + DIFFERENT_FORM, "{} such lines")
                continue
            images = pictures(words_of(line, same) or [], where, found)
            if images is not None:
                pairs.append(NamedPair(*images, same, 0, where))
        return in_blocks(pairs)
