"""Data sets of Hugging Face's library `datasets`: mapped into memory, no row of them decoded."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from gauntlet.pipeline.data.listing import Positions
from gauntlet.pipeline.models.sources.optional import library
from gauntlet.pipeline.problems import BadInput, Problem, suggest

INSTALL = "pip install 'gauntlet[datasets]'"
_OLDEST = 4
"""Major version from which on no data set's own script is ever run."""
_OPENING = threading.Lock()


@dataclass(frozen=True)
class Address:
    """Where a data set is; can be sent to other processes, where it is opened anew.

    Attributes:
        path: folder that `save_to_disk` wrote; or
        name: ``owner/name`` on the hub,
        config: its configuration, if it has several,
        revision: and branch, tag or commit.
        split: which part, if it has several.
    """

    path: Path | None = None
    name: str | None = None
    config: str | None = None
    revision: str | None = None
    split: str | None = None

    def opened(self) -> Any:
        """Return the data set; a process opens it once, and the hub's is downloaded once.

        Raises:
            BadInput: when the library is missing, or there is no such data set.
        """
        with _OPENING:
            return _opened(self)


@lru_cache(maxsize=4)
def _opened(address: Address) -> Any:
    datasets = library("datasets", "hf", INSTALL)
    if int(datasets.__version__.split(".")[0]) < _OLDEST:
        what = f"datasets {datasets.__version__} is older than {_OLDEST}, which runs no code of a "
        raise BadInput(Problem("source", f"{what}data set's: {INSTALL}"))
    datasets.disable_progress_bars()
    try:
        if address.path is not None:
            found = datasets.load_from_disk(str(address.path))
        else:
            assert address.name is not None, "an address has a path or a name"
            found = datasets.load_dataset(
                address.name, address.config, revision=address.revision, split=address.split
            )
    except Exception as error:  # of the file system, the network, the format
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        where = "path" if address.path is not None else "name"
        raise BadInput(Problem(where, f"{address.path or address.name}: {reason}")) from error
    if not isinstance(found, dict):
        return found
    splits = [str(split) for split in found]
    if address.split is None and len(splits) > 1:
        what = f"there are several: {', '.join(splits)}; name one"
        raise BadInput(Problem("split", what))
    chosen = address.split or splits[0]
    if chosen not in splits:
        raise BadInput(Problem("split", suggest(chosen, splits, "split")))
    return found[chosen]


def images_of(dataset: Any, column: str) -> Any:
    """Return a data set whose images are files' bytes and paths.

    Raises:
        BadInput: when there is no such column, or one of anything but images.
    """
    feature = _feature(dataset, column, "image")
    datasets = library("datasets", "hf", INSTALL)
    if isinstance(feature, datasets.Image):
        return dataset.cast_column(column, datasets.Image(decode=False))
    if getattr(feature, "dtype", None) in ("binary", "large_binary"):
        return dataset
    what = f"column {column!r} is {_words(feature)}, expected images, or image files as bytes"
    raise BadInput(Problem("image", what))


def labels_of(dataset: Any, column: str) -> tuple[Positions, tuple[str, ...]]:
    """Return the class of each row, (N,), and the names of the classes where they are known.

    Raises:
        BadInput: when there is no such column, or one of anything but whole numbers.
    """
    feature = _feature(dataset, column, "label")
    if str(getattr(feature, "dtype", "")).lstrip("u").startswith("int"):
        values = dataset.select_columns([column]).with_format("arrow")[:][column]
        if not values.null_count:
            names: Sequence[str] = getattr(feature, "names", None) or ()
            return values.to_numpy().astype(np.int64), tuple(map(str, names))
    what = f"column {column!r} is {_words(feature)}, expected whole numbers, none absent"
    raise BadInput(Problem("label", what))


def content_of(value: Any) -> bytes | Path | None:
    """Return the bytes of an image file, or where it is, of a value of a column of images."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, dict):
        if isinstance(value.get("bytes"), bytes):
            return bytes(value["bytes"])
        if isinstance(value.get("path"), str) and os.path.isfile(value["path"]):
            return Path(value["path"])
    return None


def _feature(dataset: Any, column: str, field: str) -> Any:
    known = list(dataset.column_names)
    if column not in known:
        raise BadInput(Problem(field, suggest(column, known, "column")))
    return dataset.features[column]


def _words(feature: Any) -> str:
    text = repr(feature)
    return text if len(text) <= 60 else f"{text[:57]}..."
