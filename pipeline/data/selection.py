"""Choosing examples from a listing: ``ids``, ``order``, ``every``, ``limit``, in this order."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from gauntlet.pipeline.data.csv_table import Row, Table, read_table, whole_number
from gauntlet.pipeline.data.found import Found
from gauntlet.pipeline.data.listing import Listing
from gauntlet.pipeline.data.lookup import find_files
from gauntlet.pipeline.data.sources.source import DataSource
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.files import expanded

_ENDS = (("source", "target"), ("a", "b"))


def select(listing: Listing, spec: DataSource, base: Path, seed: int, found: Found) -> Listing:
    """Return the examples that the job wants, in its order.

    Args:
        listing: everything in the source.
        spec: the job's ``data`` section.
        base: folder that relative paths start from.
        seed: the run's seed; with an example's id it determines its place in random order.
        found: takes what is wrong with the file of ids.
    """
    if spec.ids is not None:
        listing = listing.rows(_named(listing, spec, spec.ids, base, found))
    if spec.order == "random" and len(listing):
        bits = Draws.keyed(seed, listing.ids).bits("order").numpy()
        listing = listing.rows(np.lexsort((np.asarray(listing.ids), bits)))
    chosen = range(0, len(listing), spec.every)
    return listing.rows(chosen[: spec.limit])


def _named(listing: Listing, spec: DataSource, name: str, base: Path, found: Found) -> list[int]:
    table = read_table(base / expanded(name), name, "data.ids", _headers(listing), found)
    if table is None:
        return []
    files = _files(listing, table, name, found)
    place = {example: position for position, example in enumerate(listing.ids)}
    chosen: dict[int, str] = {}
    for row in table.rows:
        example = _id(table.header, row, listing, files, found)
        if example is None:
            continue
        position = place.get(example)
        if position is None:
            found.add(
                row.where, f"{example!r} is not among the {len(listing)} examples{_why(listing)}"
            )
        elif position in chosen:
            found.add(row.where, f"{example!r} is already named at {chosen[position]}")
        elif _label_agrees(table.header, row, listing, position, spec.first_class, found):
            chosen[position] = row.where
    return list(chosen)


def _files(listing: Listing, table: Table, name: str, found: Found) -> Mapping[str, str]:
    """Return the files on disk that a table of file names means."""
    folder = listing.store.folder
    if not table.header[0].startswith("file") or folder is None:
        return {}
    ends = 1 if listing.second is None else 2
    cells = [cell for row in table.rows for cell in row.cells[:ends]]
    return find_files(cells, folder, name, found).files


def _headers(listing: Listing) -> list[tuple[str, ...]]:
    column = "index" if listing.store.folder is None else "file"
    if listing.second is not None:
        return [("id",), *(tuple(f"{column}_{end}" for end in ends) for ends in _ENDS)]
    return [("id",), (column,), (column, "label")]


def _id(
    header: tuple[str, ...], row: Row, listing: Listing, files: Mapping[str, str], found: Found
) -> str | None:
    """Return the example id that a row names, or None with the problem in ``found``."""
    if header == ("id",):
        return row.cells[0]
    cells = row.cells if listing.second is not None else row.cells[:1]
    if header[0].startswith("file"):
        return "|".join(files.get(cell, cell) for cell in cells)
    names = []
    for cell in cells:
        index, count = whole_number(cell), len(listing.store.names)
        if index is None or index >= count:
            found.add(row.where, f"index {cell} is no image, expected 0..{count - 1}")
            return None
        names.append(listing.store.names[index])
    return "|".join(names)


def _label_agrees(
    header: tuple[str, ...], row: Row, listing: Listing, position: int, first: int, found: Found
) -> bool:
    if header[-1] != "label" or listing.labels is None:
        return True
    label = int(listing.labels[position])
    if whole_number(row.cells[-1]) == label + first:
        return True
    found.add(
        row.where, f"label {row.cells[-1]}, but {listing.ids[position]!r} has label {label + first}"
    )
    return False


def _why(listing: Listing) -> str:
    return " (pairs of the attacked kind, first image first)" if listing.second is not None else ""
