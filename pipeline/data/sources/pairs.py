"""Image pairs for verification: which are attacked, and the whole list for thresholds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.data import archive
from gauntlet.pipeline.data.csv_table import Header, Row, read_table, whole_number
from gauntlet.pipeline.data.decoding import Fit
from gauntlet.pipeline.data.findings import Found
from gauntlet.pipeline.data.lfw import PAIRS, NamedPair, read_pairs
from gauntlet.pipeline.data.listing import Flags, Listing, PairRows, Positions
from gauntlet.pipeline.data.lookup import find_files, report_missing
from gauntlet.pipeline.data.spec import Lfw, Paired, Pairs
from gauntlet.pipeline.data.stores import ArchiveImages, FileImages, ImageStore, one_size
from gauntlet.pipeline.files import expanded

_INDEXED = ("index_a", "index_b", "same")
_FILED = ("file_a", "file_b", "same")
_SAME = {
    **dict.fromkeys(("1", "1.0", "true"), True),
    **dict.fromkeys(("0", "0.0", "false"), False),
}


@dataclass(frozen=True)
class Rejected:
    """An example, or an image, that could not be decoded.

    Attributes:
        id: the example's id, or the image's name.
        reason: what was wrong with it.
    """

    id: str
    reason: str


@dataclass(frozen=True)
class PairList:
    """P labelled pairs over a listing of single images, for the threshold protocol.

    Attributes:
        first: positions of the first images in the listing of images.
        second: positions of the second ones.
        same: whether both show one person, bool (P,).
        fold: fold of each pair, int64 (P,).
        fingerprint: hash of the images' names and pixels (or of what determines these), ``same``
            and ``fold``.
        rejected: images that could not be decoded; pairs with one of them are left out.
        left_out: how many pairs that are; with those here they are all of the list.
    """

    first: list[int]
    second: list[int]
    same: Flags
    fold: Positions
    fingerprint: str
    rejected: tuple[Rejected, ...] = ()
    left_out: int = 0

    @property
    def listed(self) -> int:
        """How many pairs the list has."""
        return len(self.first) + self.left_out


def paired(spec: Paired, goal: Goal, base: Path, found: Found) -> Listing | None:
    """Return the pairs of the attacked kind, with the whole list beside them.

    A pair that the list holds twice is attacked once, and counts twice for the threshold.

    Args:
        spec: the job's ``data`` section.
        goal: what the attacker wants; determines the attacked kind by default.
        base: folder that relative paths start from.
        found: takes what is wrong.

    Returns:
        None when the source cannot be used at all.
    """
    match spec:
        case Pairs():
            read = _archived if _is_archive(spec, base) else _filed
            store, pairs = read(spec, base, found)
        case Lfw():
            store, pairs = _lfw(spec, base, found)
        case _:
            raise TypeError(f"no reader for {type(spec).__name__}")
    if store is None or not pairs:
        return None
    kind = spec.kind or ("different" if goal is Goal.IMPERSONATION else "same")
    return _listing(store, pairs, kind, found)


def pair_list(rows: PairRows, store: ImageStore, rejected: Sequence[Rejected]) -> PairList:
    """Return a list of pairs without those that have an undecodable image."""
    names = store.names
    broken = {item.id for item in rejected}
    used = np.asarray(
        [
            names[a] not in broken and names[b] not in broken
            for a, b in zip(rows.first.tolist(), rows.second.tolist(), strict=True)
        ],
        dtype=np.bool_,
    )
    first, second = rows.first[used].tolist(), rows.second[used].tolist()
    same, fold = rows.same[used], rows.fold[used]
    digest = hashlib.blake2b(digest_size=16)
    # Names alone would give one data set the threshold found on another of the same layout.
    digest.update(f"{store.fingerprint(sorted({*first, *second}))}\n".encode())
    for a, b, one, block in zip(first, second, same.tolist(), fold.tolist(), strict=True):
        digest.update(f"{names[a]}\x1f{names[b]}\x1f{one:d}\x1f{block}\n".encode())
    left_out = len(used) - len(first)
    return PairList(first, second, same, fold, digest.hexdigest(), tuple(rejected), left_out)


def _is_archive(spec: Pairs, base: Path) -> bool:
    return not (base / expanded(spec.images)).is_dir()


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
    names = _names(pairs)
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


def _lfw(spec: Lfw, base: Path, found: Found) -> tuple[ImageStore | None, list[NamedPair]]:
    root = base / expanded(spec.root)
    if not root.is_dir():
        found.add("data.root", f"no such folder: {root}")
        return None, []
    given = spec.pairs or str(Path(spec.root) / "pairs.txt")
    pairs = read_pairs(base / expanded(given), given, root, found)
    crop = None if spec.crop is None else (spec.crop, spec.crop)
    return FileImages(root, _names(pairs), Fit(crop=crop, size=spec.size)), pairs


def _names(pairs: Iterable[NamedPair]) -> tuple[str, ...]:
    """Return every image once, in the order in which the pairs first name them."""
    return tuple(dict.fromkeys(name for pair in pairs for name in (pair.first, pair.second)))


def _listing(store: ImageStore, pairs: list[NamedPair], kind: str, found: Found) -> Listing:
    place = {name: position for position, name in enumerate(store.names)}
    for pair in pairs:
        if pair.first == pair.second and not pair.same:
            what = "an image paired with itself does not show different people"
            found.add(pair.where, what, "{} such pairs")
    rows = PairRows(
        first=np.asarray([place[pair.first] for pair in pairs], dtype=np.int64),
        second=np.asarray([place[pair.second] for pair in pairs], dtype=np.int64),
        same=np.asarray([pair.same for pair in pairs], dtype=np.bool_),
        fold=np.asarray([pair.fold for pair in pairs], dtype=np.int64),
    )
    attacked = {
        f"{pair.first}|{pair.second}": pair for pair in pairs if pair.same == (kind == "same")
    }
    if not attacked and not found:  # rows that could not be used would have had some
        found.add("data.pairs", f"the list has no pair of the kind that is attacked, {kind!r}")
    return Listing(
        store=store,
        ids=tuple(attacked),
        first=np.asarray([place[pair.first] for pair in attacked.values()], dtype=np.int64),
        second=np.asarray([place[pair.second] for pair in attacked.values()], dtype=np.int64),
        pairs=rows,
    )
