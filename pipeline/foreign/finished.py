"""Finished adversarial images of the examples, made elsewhere: a folder, an archive, a table.

An archive without ids has them in the order of the data. Others are matched to the examples by id;
where that finds none, by the name of the example's file, with or without its ending, or, where an
id ends with a number (``shapes/17``), by that number.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from gauntlet.pipeline.attacks.ask import Lost
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Batch
from gauntlet.pipeline.data.archive import array, headers
from gauntlet.pipeline.data.archive_rows import rows
from gauntlet.pipeline.data.decoding import SUFFIXES, Fit, Undecodable, decode
from gauntlet.pipeline.data.found import Found
from gauntlet.pipeline.data.parquet_column import ParquetColumn
from gauntlet.pipeline.files import expanded
from gauntlet.pipeline.foreign.outcome import Brought, brought
from gauntlet.pipeline.problems import BadInput, Problem

Pixels = np.ndarray
"""(H, W, 3): uint8, or floating point in [0, 1]."""
_SHOWN = 3
_ABOUT = ("attack", "seed", "height", "width", "dtype")
"""Columns of a run's `examples` that tell images apart, and how their bytes are read."""


@dataclass(frozen=True, eq=False)
class Finished:
    """Finished images by name.

    Attributes:
        path: where they are.
        names: of all images, no two alike.
        read: returns the image at a position.
        in_order: whether they have no names but come in the order of the data.
    """

    path: Path
    names: Sequence[str]
    read: Callable[[int], Pixels]
    in_order: bool = False


def open_finished(images: str, root: Path) -> Finished:
    """Return the finished images at a path, relative to the job's root; pixels are read later.

    Raises:
        BadInput: when there is nothing, or nothing that can be read.
    """
    path = root / expanded(images)
    try:
        return _opened(path, tuple(_state(path)))
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
        found = matched(finished, tuple(ids))
    except BadInput as error:
        return list(error.problems)
    without = [example for example in ids if example not in found]
    if not ids or 2 * len(found) > min(len(ids), limit or len(ids)):
        return []
    first = without[0]
    near = difflib.get_close_matches(first, finished.names[:500], n=1, cutoff=0)
    closest = f"; closest to it: {near[0]!r}" if near else ""
    has = f"{len(found):,} of {len(ids):,} examples have one" if found else "none is an example's"
    what = (
        f"{len(finished.names):,} images in {finished.path}, {has}; the first without is "
        f"{first!r}{closest}. Images are named as the examples (or their files), or by number"
    )
    return [Problem("images", what)]


@lru_cache(maxsize=4)
def matched(finished: Finished, ids: tuple[str, ...]) -> Mapping[str, int]:
    """Return the position of the image of each example that has one, no image twice.

    Args:
        finished: the images.
        ids: of all examples, in the order of the data: which names are clear depends on them all.

    Raises:
        BadInput: when two examples find the same image, or when there are more images in order than
            examples.
    """
    path, names = finished.path, finished.names
    if finished.in_order:
        if len(names) > len(ids):
            raise _refused(f"{path}: {len(names):,} images without ids for {len(ids):,} examples")
        return {ids[at]: at for at in range(len(names))}
    found: dict[str, int] = {}
    images, examples = map(_keys, names), map(_keys, ids)
    # The surest way first, each for what no earlier one has found; no way where nothing is.
    for keys, wanted in zip(zip(*images, strict=True), zip(*examples, strict=True), strict=False):
        times = Counter(keys)
        taken = {*found.values()}
        place = {key: at for at, key in enumerate(keys) if times[key] == 1 and at not in taken}
        finder: dict[int, str] = {}
        for example, key in zip(ids, wanted, strict=True):
            at = place.get(key) if key and example not in found else None
            if at is None:
                continue
            if at in finder:
                several = f"{finder[at]!r} and {example!r}"
                raise _refused(f"{path}: {names[at]!r} would be of {several}: name images by ids")
            finder[at] = example
        found |= {example: at for at, example in finder.items()}
    return found


def judged(
    attack: Attack, batch: Batch, everyone: tuple[str, ...], root: Path, quantize: bool
) -> Brought:
    """Return the finished images of a batch as the result of an attack.

    Args:
        attack: has the images and the ball.
        batch: the clean examples.
        everyone: ids of all examples, as in `matched`.
        root: the job's.
        quantize: round to 8 bits, inside the ball.

    Raises:
        BadInput: when the images cannot be read, or are of no clear examples.
        ValueError: when one has another size, or its values are in 0..255.
    """
    assert attack.images is not None
    finished = open_finished(attack.images, root)
    places = matched(finished, everyone)
    found = batch.images.detach().cpu().clone()
    lost: dict[int, Lost] = {}
    for row, example in enumerate(batch.ids):
        position = places.get(example)
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


def _state(path: Path) -> Iterator[tuple[str, int, int]]:
    """Yield name, time and size of every file: a folder's own time says nothing of what is in it.

    Raises:
        OSError: when there is nothing.
    """
    path.stat()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            found = file.stat()
            yield file.relative_to(path).as_posix(), found.st_mtime_ns, found.st_size


@lru_cache(maxsize=4)
def _opened(path: Path, state: tuple[tuple[str, int, int], ...]) -> Finished:
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
    return Finished(path, names, lambda at: decode(files[at], Fit()))


def _archive(path: Path) -> Finished:
    found = Found()
    known = headers(path, "images", found)
    if known is None:
        raise BadInput(found.in_order)
    shape = known["images"].shape if "images" in known else None
    if shape is None or len(shape) != 4 or 3 not in (shape[1], shape[3]):
        has = "no array `images`" if shape is None else f"`images` of shape {shape}"
        raise _refused(f"{path} has {has}; expected (N, H, W, 3) or (N, 3, H, W)")

    def read(at: int) -> Pixels:
        image: Pixels = rows(path, "images", [at])[0]
        return image if shape[3] == 3 else image.transpose(1, 2, 0)

    if "ids" not in known:
        return Finished(path, [*map(str, range(shape[0]))], read, in_order=True)
    ids = [*map(str, np.atleast_1d(array(path, "ids")))]
    if len(ids) != shape[0]:
        raise _refused(f"{path}: {len(ids):,} ids for {shape[0]:,} images")
    _refuse_unclear(path, ids)
    return Finished(path, ids, read)


def _table(path: Path, files: Sequence[Path]) -> Finished:
    """Return the images of a table: a run's `examples`, or encoded files in `image`."""
    try:
        columns = set(pq.read_schema(files[0]).names)
        key = next((name for name in ("example", "id", "name") if name in columns), None)
        if key is None or "image" not in columns:
            raise _refused(f"{path}: expected the columns `example` and `image`")
        about = [key, *(name for name in _ABOUT if name in columns)]
        named = [row for file in files for row in pq.read_table(file, columns=about).to_pylist()]
        images = ParquetColumn(files, "image")
    except (pa.ArrowException, OSError) as error:
        raise _refused(f"{path} is no table that can be read: {error}") from None
    attacks = sorted({row["attack"] for row in named if "attack" in row})
    if len(attacks) > 1:
        shown = ", ".join(attacks[:_SHOWN])
        raise _refused(f"{path} has images of {len(attacks)} attacks ({shown}): keep one")
    names = ["" if row[key] is None else str(row[key]) for row in named]
    _refuse_unclear(path, names, sorted({row["seed"] for row in named if "seed" in row}))

    def read(at: int) -> Pixels:
        row, value = named[at], images[at]
        content = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(content, bytes):
            raise Undecodable("holds no bytes of an image")
        if row.get("height") is None:
            return decode(content, Fit())
        kind = np.dtype(row.get("dtype") or "uint8")
        return np.frombuffer(content, kind).reshape(row["height"], row["width"], 3)

    return Finished(path, names, read)


def _refuse_unclear(path: Path, names: Sequence[str], seeds: Sequence[object] = ()) -> None:
    """Refuse images of which several, or none, have a name."""
    if "" in names:
        raise _refused(f"{path}: the id of image {list(names).index('')} is empty")
    name, times = max(Counter(names).items(), key=lambda item: item[1], default=("", 0))
    if times > 1:
        of = f", of the seeds {', '.join(map(str, seeds))}" if len(seeds) > 1 else ""
        raise _refused(f"{path} has {times} images of {name!r}{of}: keep one of each example")


def _keys(name: str) -> tuple[str, str, str, str, str]:
    """Return what an image is called: its id, that without ending, its file, its stem, its number.

    A pair's id (``s1/1.pgm|s3/7.pgm``) names two files, and stands for itself alone.
    """
    path = PurePosixPath(name)
    if not path.name or "|" in name:
        return name, "", "", "", ""
    stem = path.stem
    number = (stem.lstrip("0") or "0") if stem.isdecimal() else ""
    return name, str(path.with_suffix("")), path.name, stem, number


def _refused(what: str) -> BadInput:
    return BadInput(Problem("images", what))
