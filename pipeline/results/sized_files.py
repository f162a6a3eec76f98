"""Sorted rows in files of a good size: where one ends depends on the rows alone."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pyarrow as pa

from gauntlet.pipeline.results.draft import Draft
from gauntlet.pipeline.results.record.entries import TableFile
from gauntlet.pipeline.results.storage import Storage

DRAFT = "compacting"


@dataclass(frozen=True)
class Sizes:
    """How large files should be.

    Attributes:
        least: bytes after which a file ends with its attack.
        most: bytes after which it ends wherever it is.
    """

    least: int = 128 * 2**20
    most: int = 256 * 2**20 - 2**24  # the row group that reaches it, and the footer, come on top


def written(
    storage: Storage,
    table: str,
    groups: Iterable[pa.Table],
    sizes: Sizes,
    attack_of: Callable[[str], str],
) -> Iterator[TableFile]:
    """Write row groups to files, whose names are in the order of their rows; yield the files.

    Args:
        storage: the run's files.
        table: a name in `TABLES`.
        groups: sorted by attack first, each small beside a file.
        sizes: of the files.
        attack_of: the attack of a unit of work.

    Raises:
        OSError: when a file cannot be written, or the groups not be read.
    """
    number = 0
    attack: str | None = None
    with ExitStack() as drafts:
        draft = drafts.enter_context(Draft(storage, table, DRAFT))
        for group in groups:
            while group.num_rows:
                full = draft.rows and draft.bytes >= sizes.least
                rows = _of(attack, group) if full else group.num_rows
                if rows:
                    draft.write(group.slice(0, rows))
                    attack = group["attack"][rows - 1].as_py()
                    group = group.slice(rows)
                if group.num_rows or draft.bytes >= sizes.most:
                    yield _adopted(draft, number, attack_of)
                    number += 1
                    draft = drafts.enter_context(Draft(storage, table, DRAFT))
        if draft.rows:
            yield _adopted(draft, number, attack_of)


def _of(attack: str | None, group: pa.Table) -> int:
    """Return how many rows at the beginning of a sorted group are of an attack."""
    column, key = group["attack"], (attack is None, attack)

    def key_of(row: int) -> tuple[bool, str | None]:
        found = column[row].as_py()
        return found is None, found

    return bisect_right(range(group.num_rows), key, key=key_of)


def _adopted(draft: Draft, number: int, attack_of: Callable[[str], str]) -> TableFile:
    file = draft.adopted(f"{number:05d}-")
    attacks = sorted({attack_of(unit) for unit in draft.units})
    return file.model_copy(update={"attacks": tuple(attacks)})
