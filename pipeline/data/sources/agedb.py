"""AgeDB-30: pairs of one person, or of two, thirty years apart.

Moschoglou, Papaioannou, Sagonas, Deng, Kotsia, Zafeiriou: AgeDB: the first manually collected,
in-the-wild age database. CVPR workshops 2017. The authors' list is a MATLAB file: `splits` has ten
cells, each a structure of the pairs (2 x 600 cells, each a structure with an image's name without
suffix) and their labels (1 for one person, -1 for two). Lists of it in plain text are read by the
source `pairs`, packs (`agedb_30.bin`) by the source `bin`.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from gauntlet.pipeline.data.found import Found
from gauntlet.pipeline.data.sources.paired import NamedPair
from gauntlet.pipeline.data.sources.published import PairListFile, Published
from gauntlet.pipeline.data.sources.source import register
from gauntlet.pipeline.files import obstacle


@register
class AgeDb(Published):
    """AgeDB-30, by its authors' MATLAB list."""

    source: Literal["agedb"]
    """Kind of source."""
    root: str
    """Folder of the images, such as `0_MariaCallas_35_f.jpg`."""
    pairs: str | None = None
    """The MATLAB list of pairs; `AgeDB-30.mat` in `root` by default."""

    def default_pairs(self) -> str:
        """``AgeDB-30.mat``."""
        return "AgeDB-30.mat"

    def listed(self, file: PairListFile, found: Found) -> list[NamedPair]:
        """Read the ten splits, which are the folds."""
        if what := obstacle(file.path):
            found.add("data.pairs", f"{what}: {file.path}")
            return []
        try:
            pairs = [
                NamedPair(first, second, same, fold, f"{file.name}: splits[{fold}][{row}]")
                for fold, split in enumerate(_splits(file))
                for row, (first, second, same) in enumerate(_pairs(split))
            ]
        except Exception as error:  # scipy raises nearly anything on files of another kind
            what = f"{file.name} is no MATLAB list of AgeDB-30: {type(error).__name__}: {error}"
            found.add("data.pairs", f"{what}; plain text is read by `source: pairs`")
            return []
        return pairs


def _splits(file: PairListFile) -> list[Any]:
    from scipy.io import loadmat

    return list(loadmat(str(file.path), variable_names=["splits"])["splits"].flat)


def _pairs(split: Any) -> list[tuple[str, str, bool]]:
    """Return the pairs of a split; the fields of structures are known by their order."""
    structure = split.flat[0]
    first, second = structure[0]
    flags = structure[1].reshape(-1).tolist()
    return [
        (_text(one), _text(two), flag > 0)
        for one, two, flag in zip(first, second, flags, strict=True)
    ]


def _text(value: Any) -> str:
    """Return the text in a cell, however many arrays and structures it lies in."""
    while not isinstance(value, str):
        value = value.flat[0] if isinstance(value, np.ndarray) else value[0]
    return str(value)
