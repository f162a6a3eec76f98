"""The rows of a run beside those of one that nothing happened to."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa

from gauntlet.pipeline.results.schema import TABLES

KEYS = ("example", "attack", "target", "surrogate", "step")
"""Columns that name a row, of those that a table has."""


@dataclass(frozen=True)
class Comparison:
    """What differs between two runs, in rows of all tables.

    Attributes:
        lost: rows that are missing, without `named`.
        named: missing rows of examples that `failures` names.
        doubled: rows that are there twice, or that the other run has not.
        changed: rows with another value in some column, to the last bit; images apart.
        images: adversarial images with other bytes.
        files: files of tables that are not the other run's to the byte: rows depend on the job
            alone, and so do the files that a finished run is put together in.
    """

    lost: int = 0
    named: int = 0
    doubled: int = 0
    changed: int = 0
    images: int = 0
    files: int = 0

    @property
    def same(self) -> bool:
        """Whether nothing is lost, doubled or changed."""
        rows = self.lost or self.doubled or self.changed or self.images
        return not (rows or (self.files and not self.named))


def rows_of(run: Path) -> dict[str, pd.DataFrame]:
    """Return every table as anybody reads it, without asking the record.

    A file that cannot be read has no rows.
    """
    found = {}
    for table in TABLES:
        frames = []
        for path in sorted((run / table).glob("*.parquet")):
            with suppress(pa.ArrowException, OSError):
                frames.append(pd.read_parquet(path))
        if frames:
            frame = pd.concat(frames, ignore_index=True)
            keys = [name for name in KEYS if name in frame]
            found[table] = frame.set_index(keys)
    return found


def compare(run: Path, undisturbed: Path) -> Comparison:
    """Return what differs from an undisturbed run of the same job."""
    found, expected = rows_of(run), rows_of(undisturbed)
    failures = found.pop("failures", pd.DataFrame()).reset_index()
    expected.pop("failures", None)
    excused = set()
    if len(failures):
        excused = {*zip(failures["attack"], failures["example"], strict=True)}
    lost = named = doubled = changed = images = 0
    for table, there in expected.items():
        here = found.pop(table, there.iloc[:0])
        missing = there.index.difference(here.index).to_frame(index=False)
        for attack, example in zip(missing["attack"], missing["example"], strict=True):
            if (attack, example) in excused:
                named += 1
            else:
                lost += 1
        twice = here.index.duplicated()
        doubled += int(twice.sum()) + len(here.index.difference(there.index))
        both = there.index.intersection(here.index)
        one, other = here[~twice].loc[both], there.loc[both]
        if "image" in one:
            images += int((one.pop("image") != other.pop("image")).sum())
        # As text: some cells are lists, and a float's text tells its last bit.
        changed += int((one.map(repr) != other.map(repr)).any(axis=1).sum())
    doubled += sum(map(len, found.values()))
    contents, others = _contents(run), _contents(undisturbed)
    files = sum(contents.get(name) != others.get(name) for name in contents.keys() | others.keys())
    return Comparison(lost, named, doubled, changed, images, files)


def _contents(run: Path) -> dict[str, bytes]:
    """Return the files of tables but `failures`, which tell of what was tried twice."""
    files = (path for table in TABLES for path in (run / table).glob("*.parquet"))
    return {
        str(path.relative_to(run)): path.read_bytes()
        for path in files
        if path.parent.name != "failures"
    }
