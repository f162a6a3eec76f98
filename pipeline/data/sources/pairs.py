"""Pairs of images that a CSV names, in an archive or a folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.data import archive
from gauntlet.pipeline.data.csv_table import Header, Row, read_table, whole_number
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
from gauntlet.pipeline.data.sources.source import Size, register
from gauntlet.pipeline.data.stores import ArchiveImages, FileImages, ImageStore, one_size
from gauntlet.pipeline.files import expanded

_INDEXED = ("index_a", "index_b", "same")
_FILED = ("file_a", "file_b", "same")
_SAME = {
    **dict.fromkeys(("1", "1.0", "true"), True),
    **dict.fromkeys(("0", "0.0", "-1", "false"), False),
}


@register
class Pairs(Paired):
    """Image pairs named by a CSV."""

    paths: ClassVar[tuple[str, ...]] = ("images", "pairs", "ids")
    source: Literal["pairs"]
    """Kind of source."""
    images: str
    """An .npz whose array `images` is uint8, (N, H, W, 3), RGB, better not compressed; or a folder
    of image files."""
    pairs: str
    """CSV `index_a,index_b,same` (for an .npz) or `file_a,file_b,same` (for a folder); `same` is 1
    or 0. The first image is attacked, the second is its reference."""
    folds: int = Field(10, ge=2)
    """The rows in order are this many equal blocks: folds of the threshold protocol."""
    size: Size | None = None
    """Folder: height and width to resize to (bilinear, antialiased); by default all must have one
    size."""

    def image_size(self, base: Path) -> tuple[int, int] | None:
        """By the archive's header, or what image files are resized to."""
        path = base / expanded(self.images)
        return self.size if path.is_dir() else archive.image_size(path, "images")

    def read(self, goal: Goal, base: Path, found: Found) -> Listing | None:
        """Read the list of pairs."""
        read = _filed if (base / expanded(self.images)).is_dir() else _archived
        store, pairs = read(self, base, found)
        if store is None or not pairs:
            return None
        return listing_of(store, pairs, self.attacked_kind(goal), found)


def _archived(spec: Pairs, base: Path, found: Found) -> tuple[ImageStore | None, list[NamedPair]]:
    path = base / expanded(spec.images)
    if spec.size is not None:
        found.add("data.size", "has no effect on an .npz, whose images have a size: remove it")
    known = archive.headers(path, "data.images", found)
    shape = archive.check_images(known, "images", "data.images", found) if known else None
    count = shape[0] if shape else None
    store = ArchiveImages(path, "images", count) if count else None

    def name(cell: str, where: str) -> str | None:
        index = whole_number(cell)
        if index is None or (count is not None and index >= count):
            expected = f"0..{count - 1}" if count is not None else "0, 1, ..."
            what = f"index {cell} is no image of {spec.images}, expected {expected}"
            found.add(where, what, PAIRS)
            return None
        return store.names[index] if store is not None else cell

    rows = _csv_rows(spec, base, _INDEXED, found)
    return store, _csv_pairs(spec, rows, name, found)


def _filed(spec: Pairs, base: Path, found: Found) -> tuple[ImageStore | None, list[NamedPair]]:
    root = base / expanded(spec.images)
    rows = _csv_rows(spec, base, _FILED, found)
    named = find_files([cell for row in rows for cell in row.cells[:2]], root, spec.pairs, found)

    def name(cell: str, where: str) -> str | None:
        file = named.files.get(cell)
        if file is None:
            report_missing(named, cell, where, root, "data.images", PAIRS, found)
        return file

    pairs = _csv_pairs(spec, rows, name, found)
    names = image_names(pairs)
    return FileImages(root, names, one_size(root, names, spec.size)), pairs


def _csv_rows(spec: Pairs, base: Path, header: Header, found: Found) -> list[Row]:
    def headless(cells: Header) -> Header | None:
        if len(cells) != len(header) or cells[-1] not in _SAME:
            return None
        indexed = all(whole_number(cell) is not None for cell in cells[:2])
        return header if indexed == (header == _INDEXED) else None

    path = base / expanded(spec.pairs)
    table = read_table(path, spec.pairs, "data.pairs", [header], found, headless)
    return table.rows if table is not None else []


def _csv_pairs(
    spec: Pairs, rows: Sequence[Row], name: Callable[[str, str], str | None], found: Found
) -> list[NamedPair]:
    if rows and len(rows) < spec.folds:
        found.add("data.folds", f"{len(rows)} pairs cannot be {spec.folds} folds")
    pairs = []
    for position, row in enumerate(rows):
        # An image that is paired with itself is missing once.
        ends = {cell: name(cell, row.where) for cell in dict.fromkeys(row.cells[:2])}
        first, second = (ends[cell] for cell in row.cells[:2])
        same = _SAME.get(row.cells[2].lower())
        if same is None:
            found.add(row.where, f"same is {row.cells[2]!r}, expected 1 or 0", "{} such lines")
        elif first is not None and second is not None:
            fold = position * spec.folds // len(rows)
            pairs.append(NamedPair(first, second, same, fold, row.where))
    return pairs
