"""Celebrities in Frontal-Profile: numbered images, and two files of pairs a fold.

Sengupta, Chen, Castillo, Patel, Chellappa, Jacobs: Frontal to Profile Face Verification in the
Wild. WACV 2016. ``Protocol/Pair_list_F.txt`` and ``Pair_list_P.txt`` number the frontal and the
profile images (``1 ../Data/Images/001/frontal/01.jpg``); ``Protocol/Split/FP/01/same.txt`` and
``diff.txt`` hold lines of two numbers, ``1,1``: a frontal image, and a profile (FP) or frontal one
(FF).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from gauntlet.pipeline.data.csv_table import whole_number
from gauntlet.pipeline.data.found import Found
from gauntlet.pipeline.data.sources.paired import NamedPair
from gauntlet.pipeline.data.sources.published import PairListFile, Published
from gauntlet.pipeline.data.sources.source import register
from gauntlet.pipeline.data.text_file import read_text


@register
class Cfp(Published):
    """Celebrities in Frontal-Profile: frontal images are attacked, the others their references."""

    source: Literal["cfp"]
    """Kind of source."""
    root: str
    """Folder that holds `Data/Images/001/frontal/01.jpg`, or `001/frontal/01.jpg` (as aligned
    copies do)."""
    pairs: str | None = None
    """Folder of the lists; `Protocol` in `root` by default."""
    protocol: Literal["FP", "FF"] = "FP"
    """Pairs of a frontal and a profile image, or of two frontal ones."""

    def default_pairs(self) -> str:
        """``Protocol``."""
        return "Protocol"

    def images(self, root: Path) -> Path:
        """Return the folder of the people."""
        return root / "Data" / "Images" if (root / "Data" / "Images").is_dir() else root

    def listed(self, file: PairListFile, found: Found) -> list[NamedPair]:
        """Read the pairs of every fold."""
        splits = file.path / "Split" / self.protocol
        if not splits.is_dir():
            found.add("data.pairs", f"no such folder: {splits}")
            return []
        frontal = _numbered(file, "Pair_list_F.txt", found)
        other = frontal if self.protocol == "FF" else _numbered(file, "Pair_list_P.txt", found)
        pairs = []
        for fold, folder in enumerate(sorted(path for path in splits.iterdir() if path.is_dir())):
            for list_name, same in (("same.txt", True), ("diff.txt", False)):
                name = f"{file.name}/Split/{self.protocol}/{folder.name}/{list_name}"
                text = read_text(folder / list_name, name, "data.pairs", found) or ""
                for row, line in enumerate(text.split("\n"), 1):
                    if not line.strip():
                        continue
                    first, _, second = line.partition(",")
                    images = frontal.get(first.strip()), other.get(second.strip())
                    if images[0] is None or images[1] is None:
                        what = f"{line.strip()!r}, expected the numbers of two listed images, "
                        found.add(f"{name}:{row}", f"{what}as '1,1'", "{} such lines")
                        continue
                    pairs.append(NamedPair(images[0], images[1], same, fold, f"{name}:{row}"))
        return pairs


def _numbered(file: PairListFile, list_name: str, found: Found) -> dict[str, str]:
    """Return the image of each number, ``001/frontal/01.jpg``."""
    name = f"{file.name}/{list_name}"
    text = read_text(file.path / list_name, name, "data.pairs", found) or ""
    images = {}
    for row, line in enumerate(text.split("\n"), 1):
        number, _, path = line.strip().partition(" ")
        parts = path.strip().split("/")
        if line.strip() and (whole_number(number) is None or len(parts) < 3):
            what = f"{line.strip()!r}, expected '1 ../Data/Images/001/frontal/01.jpg'"
            found.add(f"{name}:{row}", what, "{} such lines")
        elif line.strip():
            images[number] = "/".join(parts[-3:])
    return images
