"""Cross-age and cross-pose LFW: one line an image, two lines a pair.

Zheng, Deng, Hu: Cross-Age LFW (2017); Zheng, Deng: Cross-Pose LFW (2018). A line is the name of an
image and a number, the same in both lines of a pair: 0 for different people; for one person 1 in
CPLFW, and the number of the fold, 1 to 10, in CALFW. Pairs of one person come first. The authors
write no folds of the pairs of different people; these are equal blocks (as FaceX-Zoo has them).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from gauntlet.pipeline.data.csv_table import whole_number
from gauntlet.pipeline.data.found import Found
from gauntlet.pipeline.data.sources.paired import NamedPair
from gauntlet.pipeline.data.sources.published import PairListFile, Published, in_blocks
from gauntlet.pipeline.data.sources.source import register
from gauntlet.pipeline.data.text_file import read_text

_FOLDERS = ("aligned images", "aligned_images", "images")
"""Where images are below the root: as the authors pack them, and as other people unpack them."""


class CrossLfw(Published):
    """What the two data sets have in common."""

    def images(self, root: Path) -> Path:
        """Return the folder of the images; the root itself where it has none of these."""
        return next((root / name for name in _FOLDERS if (root / name).is_dir()), root)

    def listed(self, file: PairListFile, found: Found) -> list[NamedPair]:
        """Read two lines ``Name_0001.jpg 1`` for each pair."""
        text = read_text(file.path, file.name, "data.pairs", found) or ""
        lines = [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
        if len(lines) % 2:
            found.add(file.name, f"{len(lines)} lines, expected two for each pair")
            return []
        pairs = []
        for (number, one), (_, two) in zip(lines[::2], lines[1::2], strict=True):
            where = f"{file.name}:{number}"
            first, flag, second, other = (*_words(one), *_words(two))
            if flag is None or flag != other:
                what = f"{one.strip()!r} and {two.strip()!r}, expected two images of a pair with "
                found.add(where, f"{what}the same number, as 'Name_0001.jpg 1'", "{} such pairs")
                continue
            pairs.append(NamedPair(first, second, flag > 0, 0, where))
        return in_blocks(pairs)


def _words(line: str) -> tuple[str, int | None]:
    """Return an image's name and its number, if it has one."""
    name, _, number = line.strip().replace("\t", " ").rpartition(" ")
    return name.strip(), whole_number(number) if name.strip() else None


@register
class Calfw(CrossLfw):
    """Cross-Age LFW: one person at two ages, and two people of one sex and race."""

    source: Literal["calfw"]
    """Kind of source."""
    root: str
    """Folder that holds `aligned images` (or `images`) and the list."""
    pairs: str | None = None
    """The list of pairs; `pairs_CALFW.txt` in `root` by default."""

    def default_pairs(self) -> str:
        """``pairs_CALFW.txt``."""
        return "pairs_CALFW.txt"


@register
class Cplfw(CrossLfw):
    """Cross-Pose LFW: one person in two poses, and two people of one sex and race."""

    source: Literal["cplfw"]
    """Kind of source."""
    root: str
    """Folder that holds `aligned images` (or `images`) and the list."""
    pairs: str | None = None
    """The list of pairs; `pairs_CPLFW.txt` in `root` by default."""

    def default_pairs(self) -> str:
        """``pairs_CPLFW.txt``."""
        return "pairs_CPLFW.txt"
