"""A run's folder: its tables in Parquet files that depend on their unit alone, and its record.

A file of a table is written whole, under a name that depends on the unit alone; it counts once a
commit of the record lists it. Whatever is interrupted is done again, so that every row is there
exactly once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from shlex import quote
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from gauntlet.pipeline.files import obstacle
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.results import parquet
from gauntlet.pipeline.results.lock import is_held
from gauntlet.pipeline.results.record.chain import FOLDER, Record
from gauntlet.pipeline.results.record.damage import Damage, examine, for_a_report, wrong_with
from gauntlet.pipeline.results.record.entries import TableFile, digest
from gauntlet.pipeline.results.schema import FORMER, TABLES, further_rules, schema_of
from gauntlet.pipeline.results.storage import Storage

READ_AHEAD = 2
"""Row groups of a file that are read before they are asked for."""
_PARQUET = ds.ParquetFileFormat(
    default_fragment_scan_options=ds.ParquetFragmentScanOptions(page_checksum_verification=True)
)


class RunFolder(Storage):
    """Reads and writes one run, on a local path or an object store (``s3://``, ``gs://``, ``az://``).

    Raises:
        BadInput: when an address names no store, or its store cannot be reached.
    """

    def holds_run(self) -> bool:
        """Return whether a run began here."""
        return self.exists("plan.json") or self.exists(FOLDER)

    def is_former(self) -> bool:
        """Return whether the run has no record: version 0.1 kept none that could be compared."""
        return self.exists("plan.json") and not self.exists(FOLDER)

    def damage(self, whole: bool = False, record: Record | None = None) -> Damage:
        """Return what is wrong with the run, as far as a report needs it.

        Args:
            whole: compare the checksums of adversarial images, too.
            record: the run's, if it was read before.

        Raises:
            BadInput: when the record is of an unknown format.
        """
        record = record or Record.read(self)
        if record is None:
            return Damage(self.location)
        return examine(self, record, (lambda name: True) if whole else for_a_report, is_held(self))

    def write_rows(
        self, table: str, unit: str, columns: Mapping[str, Any], units: Sequence[str] | None = None
    ) -> TableFile:
        """Write a unit's rows of one table, replacing what an interrupted attempt left.

        Args:
            table: a name in `TABLES`.
            unit: id of the unit; names the file.
            columns: one sequence a column, all of the same length, plus scalars that are repeated.
            units: those that have to be done again to make the rows anew; by default the unit.

        Returns:
            The file, for a commit.
        """
        rows = parquet.in_order(table, parquet.rows_of(table, unit, columns))
        content = parquet.encoded(table, rows)
        name = f"{table}/{unit}.parquet"
        self.write(name, content, durable=False)  # a commit syncs it
        return TableFile(
            name=name,
            rows=rows.num_rows,
            bytes=content.size,
            checksum=digest(content),
            units=(unit,) if units is None else tuple(units),
        )

    def rows(self, table: str, unit: str, columns: Sequence[str]) -> pa.Table:
        """Return what a unit wrote to a table; empty if it wrote nothing.

        Raises:
            BadInput: when the file is damaged.
        """
        name, schema = f"{table}/{unit}.parquet", schema_of(table, columns)
        if not self.exists(name):
            return schema.empty_table().select(list(columns))
        return self._part(self._path(name), table, list(columns))

    def finished(self) -> set[str]:
        """Return the ids of the units that are done."""
        if (record := Record.read(self)) is not None:
            return {*record.units}
        names = (name.rpartition("/")[2] for name in self.sizes("ledger"))
        return {name.removesuffix(".json") for name in names if name.endswith(".json")}

    def table(
        self, name: str, columns: Sequence[str] | None = None, sound: bool = False
    ) -> pa.Table:
        """Return a table, or some of its columns; empty if nothing was written to it.

        Args:
            name: in `TABLES`.
            columns: those that are wanted; all of them by default.
            sound: leave the rows of damaged files out, instead of refusing the table.

        Raises:
            BadInput: when a file of it is damaged.
        """
        names = self.columns(name) if columns is None else list(columns)
        parts = [schema_of(name, names).empty_table().select(names)]
        for file, wrong in self._files_of(name, sound):
            try:
                if wrong:
                    raise BadInput(Problem(self._path(file), f"{wrong}: {self._remedy()}"))
                parts.append(self._part(self._path(self.located(file)), name, names))
            except BadInput:
                if not sound:
                    raise
        return pa.concat_tables(parts)

    def columns(self, table: str) -> list[str]:
        """Return the names of a table's columns, those of the run's further rules included.

        All files of a run have the same ones: the first that can be read tells.
        """
        if table == "verdicts":
            for name, wrong in self._files_of(table, checked=False):
                path = self._path(self.located(name))
                with suppress(pa.ArrowException, OSError):
                    if not wrong:
                        self._refuse_obstacle(path)
                        found: list[str] = pq.read_schema(path, filesystem=self._fs).names
                        return [*schema_of(table, found).names]
        return [*TABLES[table].names]

    @property
    def further_rules(self) -> list[str]:
        """Names of the rules besides the headline that its verdicts are by."""
        return further_rules(self.columns("verdicts"))

    def _files_of(self, table: str, checked: bool) -> Iterator[tuple[str, str]]:
        """Yield the table's files that count, and what is wrong with each, if anything is."""
        there = self.staged(table) | self.sizes(table)
        record = Record.read(self)
        if record is None:
            yield from ((name, "") for name in self.sizes(table) if name.endswith(".parquet"))
            return
        for name in sorted(name for name in record.files if name.startswith(f"{table}/")):
            whole = checked and for_a_report(name)
            yield name, wrong_with(self, record.files[name], there.get(name), whole)

    def batches(
        self, name: str, table: str, columns: Sequence[str], where: ds.Expression | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield rows of one file of a table, a row group at a time.

        Args:
            name: of the file.
            table: whose it is.
            columns: those that are wanted, by today's names.
            where: which rows; row groups that have none, by their statistics, are not read.

        Raises:
            BadInput: when the file is damaged.
        """
        path = self._path(self.located(name))
        wanted = {
            column: pc.coalesce(pc.field(column), pc.field(FORMER[column]))
            if column in FORMER
            else pc.field(column)
            for column in columns
        }
        try:
            self._refuse_obstacle(path)
            scanner = ds.Scanner.from_fragment(
                _PARQUET.make_fragment(path, filesystem=self._fs),
                schema=_with_former(table, columns),
                columns=wanted,
                filter=where,
                batch_readahead=READ_AHEAD,
                use_threads=False,
            )
            yield from (batch for batch in scanner.to_batches() if batch.num_rows)
        except (pa.ArrowException, OSError) as error:
            raise BadInput(self._unreadable(path, error)) from None

    def counts(self, name: str, column: str) -> Counter[str]:
        """Return how many rows of a file have each value of a column.

        Row groups that have one value by their statistics are not read.

        Args:
            name: of the file.
            column: of text, in every row.

        Raises:
            BadInput: when the file is damaged.
        """
        path, found, mixed = self._path(self.located(name)), Counter[str](), list[int]()
        try:
            self._refuse_obstacle(path)
            with pq.ParquetFile(path, filesystem=self._fs, page_checksum_verification=True) as file:
                place = file.schema.names.index(column)
                for number in range(file.num_row_groups):
                    group = file.metadata.row_group(number)
                    ends = group.column(place).statistics
                    if ends is None or not ends.has_min_max or ends.min != ends.max:
                        mixed.append(number)
                    else:
                        found[ends.min] += group.num_rows
                if mixed:
                    rows = file.read_row_groups(mixed, columns=[column], use_threads=False)
                    values = rows.column(column).value_counts().to_pylist()
                    found.update({value["values"]: value["counts"] for value in values})
        except (pa.ArrowException, OSError) as error:
            raise BadInput(self._unreadable(path, error)) from None
        return found

    def _part(self, path: str, table: str, columns: list[str]) -> pa.Table:
        """Return the rows of one file of a table, whichever names its columns have."""
        schema = schema_of(table, columns)
        former = {name: old for name, old in FORMER.items() if name in columns}
        try:
            self._refuse_obstacle(path)
            part = pq.read_table(
                path,
                filesystem=self._fs,
                schema=_with_former(table, columns),
                columns=[*columns, *former.values()],
                page_checksum_verification=True,
            )
            for name, old in former.items():  # the one that is not in the file is empty
                known = pc.coalesce(part[name], part[old])
                part = part.set_column(columns.index(name), schema.field(name), known)
            return part.select(columns)
        except (pa.ArrowException, OSError) as error:
            raise BadInput(self._unreadable(path, error)) from None

    def _refuse_obstacle(self, path: str) -> None:
        if self._local and (what := obstacle(Path(path))):
            raise OSError(what)

    def _unreadable(self, path: str, error: Exception) -> Problem:
        reason = str(error).partition("\n")[0][:200]
        return Problem(path, f"damaged Parquet file ({reason}): {self._remedy()}")

    def _remedy(self) -> str:
        if self.is_former():
            return "rows of a run without a record are not made anew; delete the file to do without"
        return f"`gauntlet resume {quote(self.location)}` makes its rows anew"


def _with_former(table: str, columns: Sequence[str]) -> pa.Schema:
    """Return the table's columns, and those that some of them were before."""
    schema = schema_of(table, columns)
    former = {name: old for name, old in FORMER.items() if name in columns}
    return pa.schema(
        [*schema, *(schema.field(name).with_name(old) for name, old in former.items())]
    )
