"""Finished adversarial images of the examples, made elsewhere: a folder, an archive, a table.

They are matched to the examples by id; by the name of the example's file, with or without its
ending; or, where an id ends with a number (``shapes/17``), by that number.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow.parquet as pq
import torch
from PIL import Image

from gauntlet.pipeline.attacks.ask import Lost
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Batch
from gauntlet.pipeline.data.decoding import FORMATS, SUFFIXES, Fit, Undecodable, decode
from gauntlet.pipeline.files import expanded
from gauntlet.pipeline.foreign.outcome import Brought, brought
from gauntlet.pipeline.problems import BadInput, Problem

Pixels = np.ndarray
"""(H, W, 3): uint8, or floating point in [0, 1]."""
_SHOWN = 3


@dataclass(frozen=True)
class Finished:
    """Finished images by name.

    Attributes:
        path: where they are.
        names: of all images.
        keys: the image that each name, file name, or number stands for, by its position.
        read: returns the image at a position.
    """

    path: Path
    names: Sequence[str]
    keys: Mapping[str, int]
    read: Callable[[int], Pixels]

    def find(self, example: str) -> int | None:
        """Return the position of an example's image; None where there is none."""
        return next((self.keys[key] for key in _keys(example) if key in self.keys), None)


def open_finished(images: str, root: Path) -> Finished:
    """Return the finished images at a path, relative to the job's root; pixels are read later.

    Raises:
        BadInput: when there is nothing, or nothing that can be read.
    """
    path = root / expanded(images)
    try:
        return _opened(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise _refused(f"nothing at {path} ({error.strerror or error})") from None


def problems(images: str, root: Path, ids: Sequence[str], limit: int | None) -> list[Problem]:
    """Return why finished images cannot be those of some examples.

    Args:
        images: where they are.
        root: the job's.
        ids: of all examples.
        limit: the most that are attacked; half of the examples have to have an image.
    """
    try:
        finished = open_finished(images, root)
    except BadInput as error:
        return list(error.problems)
    without = [example for example in ids if finished.find(example) is None]
    matched = len(ids) - len(without)
    if not ids or 2 * matched > min(len(ids), limit or len(ids)):
        return []
    first = without[0]
    near = difflib.get_close_matches(first, finished.names[:500], n=1, cutoff=0)
    closest = f"; closest to it: {near[0]!r}" if near else ""
    has = f"{matched:,} of {len(ids):,} examples have one" if matched else "none is an example's"
    what = (
        f"{len(finished.names):,} images in {finished.path}, {has}; the first without is "
        f"{first!r}{closest}. Images are named as the examples (or their files), or by number"
    )
    return [Problem("images", what)]


def judged(attack: Attack, batch: Batch, root: Path, quantize: bool) -> Brought:
    """Return the finished images of a batch as the result of an attack.

    Raises:
        BadInput: when the images cannot be read.
        ValueError: when one has another size, or its values are in 0..255.
    """
    assert attack.images is not None
    finished = open_finished(attack.images, root)
    found = batch.images.detach().cpu().clone()
    lost: dict[int, Lost] = {}
    for row, example in enumerate(batch.ids):
        position = finished.find(example)
        if position is None:
            lost[row] = Lost(example, 0, "all", f"no image of it in {finished.path}")
            continue
        try:
            pixels = finished.read(position)
        except (Undecodable, OSError) as error:
            lost[row] = Lost(example, 0, "all", f"{finished.names[position]}: {error}")
            continue
        if pixels.shape != (*found.shape[2:], 3):
            raise ValueError(
                f"{finished.path}: {finished.names[position]} is of shape {pixels.shape}, the "
                f"example {example!r} of {(*found.shape[2:], 3)}"
            )
        wide = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)
        found[row] = wide / 255 if pixels.dtype == np.uint8 else wide
    return brought(attack, batch, found, quantize, lost)


@lru_cache(maxsize=4)
def _opened(path: Path, changed: int) -> Finished:
    if path.is_dir():
        tables = sorted(path.rglob("*.parquet"))
        return _table(path, tables) if tables else _folder(path)
    if path.suffix == ".npz":
        return _archive(path)
    if path.suffix == ".parquet":
        return _table(path, [path])
    raise _refused(f"{path}: expected a folder of images, an .npz or a Parquet file")


def _folder(path: Path) -> Finished:
    files = sorted(f for f in path.rglob("*") if f.suffix.lower() in SUFFIXES and f.is_file())
    if not files:
        raise _refused(f"no images in {path}")
    names = [file.relative_to(path).as_posix() for file in files]
    return Finished(path, names, _index(names), lambda at: decode(files[at], Fit()))


def _archive(path: Path) -> Finished:
    try:
        with np.load(path, allow_pickle=False) as found:
            arrays = {name: found[name] for name in ("images", "ids") if name in found}
    except (OSError, ValueError) as error:
        raise _refused(f"{path}: {error}") from None
    images = arrays.get("images")
    if images is None or images.ndim != 4 or 3 not in (images.shape[1], images.shape[3]):
        has = "no array `images`" if images is None else f"`images` of shape {images.shape}"
        raise _refused(f"{path} has {has}; expected (N, H, W, 3) or (N, 3, H, W)")
    if images.shape[3] != 3:
        images = images.transpose(0, 2, 3, 1)
    named = [*map(str, arrays["ids"])] if "ids" in arrays else [*map(str, range(len(images)))]
    if len(named) != len(images):
        raise _refused(f"{path}: {len(named):,} ids for {len(images):,} images")
    return Finished(path, named, _index(named), lambda at: images[at])


def _table(path: Path, files: Sequence[Path]) -> Finished:
    """Return the images of a table: a run's `examples`, or encoded files in `image`."""
    try:
        tables = [pq.read_table(file, memory_map=True) for file in files]
        rows = [row for table in tables for row in table.to_pylist()]
    except (OSError, ValueError) as error:
        raise _refused(f"{path}: {error}") from None
    key = next((name for name in ("example", "id", "name") if rows and name in rows[0]), None)
    if key is None or "image" not in rows[0]:
        raise _refused(f"{path}: expected the columns `example` and `image`")
    attacks = sorted({row["attack"] for row in rows if "attack" in row})
    if len(attacks) > 1:
        shown = ", ".join(attacks[:_SHOWN])
        raise _refused(f"{path} has images of {len(attacks)} attacks ({shown}): keep one")
    names = [str(row[key]) for row in rows]

    def read(at: int) -> Pixels:
        row = rows[at]
        value = row["image"]
        content = value["bytes"] if isinstance(value, dict) else value
        if row.get("height") is not None:
            kind = np.dtype(row.get("dtype") or "uint8")
            return np.frombuffer(content, kind).reshape(row["height"], row["width"], 3)
        with Image.open(BytesIO(content), formats=FORMATS) as image:
            return np.asarray(image.convert("RGB"))

    return Finished(path, names, _index(names), read)


def _index(names: Sequence[str]) -> dict[str, int]:
    """Return the positions by every key of a name that is no other's, names themselves first."""
    found = {name: at for at, name in enumerate(names)}
    several: dict[str, set[int]] = {}
    for at, name in enumerate(names):
        for key in _keys(name):
            several.setdefault(key, set()).add(at)
    return {key: min(at) for key, at in several.items() if len(at) == 1} | found


def _keys(name: str) -> list[str]:
    """Return what an image is called: its id, that without ending, its file, its number."""
    path = PurePosixPath(name)
    stem = path.stem
    keys = [name, str(path.with_suffix("")), path.name, stem]
    if stem.isdecimal():
        keys.append(str(int(stem)))
    return list(dict.fromkeys(keys))


def _refused(what: str) -> BadInput:
    return BadInput(Problem("images", what))
