"""YouTube Faces: pairs of videos, of each of which one picture is taken.

Wolf, Hassner, Maoz: Face Recognition in Unconstrained Videos with Matched Background Similarity.
CVPR 2011. ``splits.txt`` has a first line of column names and then ``1, 1, Ann_Lee/0, Ann_Lee/2,
1``: split, number in it, two videos, whether they show one person. A video is a folder of pictures,
``Ann_Lee/0/0.123.jpg``; or one picture, ``Ann_Lee/Ann_Lee_0.png``, as RobFR has them.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Literal

from gauntlet.pipeline.data.csv_table import whole_number
from gauntlet.pipeline.data.decoding import SUFFIXES
from gauntlet.pipeline.data.found import Found
from gauntlet.pipeline.data.sources.paired import NamedPair
from gauntlet.pipeline.data.sources.published import PairListFile, Published
from gauntlet.pipeline.data.sources.source import register
from gauntlet.pipeline.data.stores import stays_below
from gauntlet.pipeline.data.text_file import read_text

_FOLDERS = ("aligned_images_DB", "frame_images_DB")
_SAME = {"1": True, "0": False}
_FORM = "'1, 1, Name/0, Name/2, 1': split, number, two videos, 1 or 0"


@register
class Ytf(Published):
    """YouTube Faces; of each video its middle picture."""

    source: Literal["ytf"]
    """Kind of source."""
    root: str
    """Folder that holds `aligned_images_DB` (or `frame_images_DB`, or the people themselves)."""
    pairs: str | None = None
    """The list of pairs; `splits.txt` in `root` by default."""

    def default_pairs(self) -> str:
        """``splits.txt``."""
        return "splits.txt"

    def images(self, root: Path) -> Path:
        """Return the folder of the people."""
        return next((root / name for name in _FOLDERS if (root / name).is_dir()), root)

    def listed(self, file: PairListFile, found: Found) -> list[NamedPair]:
        """Read the list; splits are the folds."""

        @cache
        def picture(video: str) -> str:
            return middle_picture(file.images, video)

        text = read_text(file.path, file.name, "data.pairs", found) or ""
        pairs = []
        for row, line in enumerate(text.split("\n"), 1):
            cells = [cell.strip() for cell in line.split(",")]
            if not line.strip() or (row == 1 and whole_number(cells[0]) is None):
                continue
            split = whole_number(cells[0])
            if len(cells) not in (4, 5) or not split or cells[-1] not in _SAME:
                found.add(f"{file.name}:{row}", f"{line.strip()!r}, expected {_FORM}", "{} lines")
                continue
            first, second = map(picture, cells[-3:-1])
            pair = NamedPair(first, second, _SAME[cells[-1]], split - 1, f"{file.name}:{row}")
            pairs.append(pair)
        return pairs


def middle_picture(images: Path, video: str) -> str:
    """Return the picture that stands for a video, by its path below the folder of the people.

    Args:
        images: the folder of the people.
        video: ``Name/0``. Where it is no folder, the name of the one picture is returned.
    """
    if not stays_below(video) or not (images / video).is_dir():
        person, _, clip = video.partition("/")
        return f"{person}/{person}_{clip}"
    pictures = [path.name for path in (images / video).iterdir() if path.suffix.lower() in SUFFIXES]
    pictures.sort(key=lambda name: ([int(number) for number in re.findall(r"\d+", name)], name))
    return f"{video}/{pictures[len(pictures) // 2]}" if pictures else video
