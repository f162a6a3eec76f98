"""A run that is read: what counts and is sound is found once, and rows come in batches."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cached_property
from shlex import quote
from typing import TypeVar

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.results import records
from gauntlet.pipeline.results.manifest import Manifest
from gauntlet.pipeline.results.record.chain import Record
from gauntlet.pipeline.results.record.damage import Damage, for_a_report
from gauntlet.pipeline.results.run_folder import RunFolder
from gauntlet.pipeline.results.schema import schema_of

Made = TypeVar("Made")


class Reading:
    """A run as it is when it is opened.

    What is asked of it is read at the first question and kept, but for rows, which are never held:
    they come batch by batch, of the columns and row groups that are asked for.

    Args:
        location: the run's folder.
        whole: compare the checksums of adversarial images, too.

    Raises:
        ValueError: when there is no run at that place.
    """

    def __init__(self, location: str, whole: bool = False) -> None:
        self.location, self.folder = location, RunFolder(location)
        if not self.folder.holds_run():
            raise ValueError(f"{location}: no run here (plan.json is missing)")
        self._whole = whole
        self._readable: dict[tuple[str, tuple[str, ...]], list[str]] = {}

    @cached_property
    def record(self) -> Record | None:
        """Its record; None in runs of version 0.1."""
        return Record.read(self.folder)

    @cached_property
    def manifest(self) -> Manifest:
        """What it says of itself.

        Raises:
            BadInput: when the file is missing or damaged.
        """
        return records.manifest(self.folder)

    @cached_property
    def damage(self) -> Damage:
        """What is wrong with it, as far as a report needs it."""
        return self.folder.damage(self._whole, self.record)

    @cached_property
    def units_of_complete(self) -> int | None:
        """How many units it has if they are all finished, None if some work is left.

        What is damaged is left to do.
        """
        if not self.folder.exists("manifest.json"):
            return None
        units = self.manifest.units
        if self.manifest.finished is None or units.failed:
            return None
        done = self.folder.finished() if self.record is None else self.record.units
        return None if len(done) < units.done or self.damage else units.done

    def batches(
        self, table: str, columns: Sequence[str], where: ds.Expression | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows of sound files that count, in the order of the files' names.

        Args:
            table: a name in `TABLES`.
            columns: those that are wanted.
            where: which rows; row groups that have none, by their statistics, are not read.

        Raises:
            BadInput: when a file was damaged after it was found sound.
        """
        for name in self._sound(table, tuple(columns)):
            yield from self.folder.batches(name, table, columns, where)

    def rows(
        self, table: str, columns: Sequence[str], where: ds.Expression | None = None
    ) -> pd.DataFrame:
        """Return such rows as one frame: of no more than can be held.

        Raises:
            BadInput: as `batches`.
        """
        batches = [*self.batches(table, columns, where)]
        known = schema_of(table, columns)
        schema = pa.schema([known.field(name) for name in columns])
        found = pa.Table.from_batches(batches, batches[0].schema if batches else schema)
        frame: pd.DataFrame = found.to_pandas()
        return frame

    def by_file(self, table: str, made: Callable[[str], Made]) -> Iterator[Made]:
        """Yield what is made of each sound file that counts, by its name.

        A file that shows itself damaged then is left out.
        """
        for name in self._counting(table):
            if name in self.damage.files:
                continue
            try:
                found = made(name)
            except BadInput:
                continue
            yield found

    def _sound(self, table: str, columns: tuple[str, ...]) -> list[str]:
        """Return the files that count and are sound.

        Some have no checksum that was compared; they are read to their end beforehand.
        """
        if (table, columns) not in self._readable:
            names = [name for name in self._counting(table) if name not in self.damage.files]
            self._readable[table, columns] = [
                name for name in names if self._is_sure(name) or self._reads(name, table, columns)
            ]
        return self._readable[table, columns]

    def _counting(self, table: str) -> list[str]:
        if self.record is not None:
            return sorted(name for name in self.record.files if name.startswith(f"{table}/"))
        return [name for name in self.folder.sizes(table) if name.endswith(".parquet")]

    def _is_sure(self, name: str) -> bool:
        return self.record is not None and (self._whole or for_a_report(name))

    def _reads(self, name: str, table: str, columns: Sequence[str]) -> bool:
        try:
            for _ in self.folder.batches(name, table, columns):
                pass
        except BadInput:
            return False
        return True


def units_of_complete(location: str) -> int | None:
    """Return how many units a run has if they are all finished, None if some work is left.

    Raises:
        BadInput: when its manifest is damaged.
    """
    return Reading(location).units_of_complete if RunFolder(location).holds_run() else None


def occupied(location: str) -> str | None:
    """Return why a new run cannot go into a folder that holds one, None if it holds none."""
    folder = RunFolder(location)
    if not folder.holds_run():
        return None
    if units_of_complete(location) is None:
        if folder.is_former():
            return "holds a run already (without a record, which is not resumed)"
        return f"holds a run already; go on with `gauntlet resume {quote(location)}`"
    return f"holds a finished run already; see it with `gauntlet report {quote(location)}`"


def one_of(column: str, values: Collection[str]) -> pc.Expression:
    """Return the condition that a column has one of some values."""
    # By the ends row groups are passed over; not every version of Arrow asks `isin` for that.
    field = pc.field(column)
    return (field >= min(values)) & (field <= max(values)) & field.isin([*values])


def under(seed: int) -> pc.Expression:
    """Return the condition that a row is of a seed, or of a run that had but one."""
    return (pc.field("seed") == seed) | pc.field("seed").is_null()
