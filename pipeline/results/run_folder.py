"""A run's folder: atomic Parquet files, the ledger of finished units, the manifest.

A unit's files are written whole under names that depend on the unit alone (aside, then renamed;
object stores publish an object only when it is complete), and its ledger entry last. Whatever is
interrupted is done again and replaces its own files, so that every row is there exactly once.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import fs

from gauntlet.pipeline.files import obstacle
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.results.schema import FORMER, TABLES


class RunFolder:
    """Reads and writes one run, on a local path or an object store (``s3://``, ``gs://``).

    Raises:
        BadInput: when an address names no store, or its store cannot be reached.
    """

    def __init__(self, location: str) -> None:
        self.location = location
        if "://" in location:
            try:
                self._fs, self._root = fs.FileSystem.from_uri(location)
            except (ValueError, OSError) as error:
                raise BadInput(Problem(location, f"cannot be opened: {error}")) from None
            if not self._root:
                raise BadInput(Problem(location, "expected s3://BUCKET/PREFIX or gs://..."))
        else:
            try:
                self._fs, self._root = fs.LocalFileSystem(), str(Path(location).resolve())
                self._root.encode()
            except (ValueError, OSError, RuntimeError) as error:
                reason = "not UTF-8" if isinstance(error, UnicodeError) else error
                what = f"no name for a run's folder ({reason}); choose another one"
                raise BadInput(Problem(location, what)) from None
        self._local = isinstance(self._fs, fs.LocalFileSystem)
        self._written: set[str] = set()

    def exists(self, name: str = "plan.json") -> bool:
        """Return whether a file of the run is there."""
        found = self._fs.get_file_info(self._path(name)).type
        return bool(found != fs.FileType.NotFound)

    def obstacle(self) -> str | None:
        """Return why nothing can be written here, if that is so; leave nothing behind.

        Object stores are not asked.
        """
        if not self._local:
            return None
        root = Path(self._root)
        missing: list[Path] = []
        try:
            there = root
            while not there.exists():
                missing.append(there)
                there = there.parent
            if not there.is_dir():
                return f"{there} is a file; expected a folder"
            made: list[Path] = []
            try:
                # Tried, because permissions do not tell: a file system may refuse even root.
                for folder in reversed(missing):
                    folder.mkdir()
                    made.append(folder)
                with tempfile.TemporaryFile(dir=root):
                    pass
            finally:
                for folder in reversed(made):
                    folder.rmdir()
        except OSError as error:
            verb = "created" if missing else "written to"
            return f"{self.location} cannot be {verb}: {error.strerror or error}"
        return None

    def write(self, name: str, content: bytes) -> None:
        """Write a file so that it is there whole or not at all."""
        path = self._path(name)
        self._written.add(name)
        self._fs.create_dir(path.rpartition("/")[0], recursive=True)
        if not self._local:
            with self._fs.open_output_stream(path) as stream:
                stream.write(content)
            return
        aside = Path(path).with_name(f".{Path(path).name}.{uuid.uuid4().hex}")
        try:
            with aside.open("wb") as stream:
                stream.write(content)
                stream.flush()
            aside.replace(path)
        except OSError:
            aside.unlink(missing_ok=True)  # a full disk must not fill up with remains
            raise

    def read(self, name: str) -> bytes:
        """Return a file's content.

        Raises:
            OSError: when it cannot be read.
        """
        if self._local and (what := obstacle(Path(self._path(name)))):
            raise OSError(what)
        with self._fs.open_input_stream(self._path(name)) as stream:
            return bytes(stream.read())

    def delete(self, name: str) -> None:
        """Delete a file if it is there."""
        if self.exists(name):
            self._fs.delete_file(self._path(name))

    def withdraw(self) -> None:
        """Delete what was written through this object, and the folders that it leaves empty."""
        for name in sorted(self._written):
            self.delete(name)
        if self._local:
            root = Path(self._root)
            inner = {(root / name).parent for name in self._written}
            for folder in sorted({*inner, root}, key=lambda path: -len(path.parts)):
                with contextlib.suppress(OSError):  # somebody else's files are in it
                    folder.rmdir()
        self._written.clear()

    def write_rows(self, table: str, unit: str, columns: Mapping[str, Any]) -> int:
        """Write a unit's rows of one table, replacing what an interrupted attempt left.

        Args:
            table: a name in `TABLES`.
            unit: id of the unit; names the file.
            columns: one sequence a column, all of the same length, plus scalars that are repeated.

        Returns:
            The number of rows.
        """
        schema = TABLES[table]
        lengths = {len(v) for v in columns.values() if isinstance(v, list | np.ndarray)}
        (rows,) = lengths
        arrays = []
        for field in schema:
            value = columns[field.name] if field.name != "unit" else unit
            if not isinstance(value, list | np.ndarray):
                value = [value] * rows
            arrays.append(pa.array(value, field.type))
        sink = pa.BufferOutputStream()
        pq.write_table(
            pa.Table.from_arrays(arrays, schema=self._as_begun(schema)),
            sink,
            compression="zstd",
            compression_level=1,
        )
        self.write(f"{table}/{unit}.parquet", sink.getvalue().to_pybytes())
        return int(rows)

    def rows(self, table: str, unit: str, columns: Sequence[str]) -> pa.Table:
        """Return what a unit wrote to a table; empty if it wrote nothing.

        Raises:
            BadInput: when the file is damaged.
        """
        name, schema = f"{table}/{unit}.parquet", TABLES[table]
        if not self.exists(name):
            return schema.empty_table().select(list(columns))
        return self._part(self._path(name), table, list(columns))

    def finish(self, unit: str, entry: Mapping[str, Any]) -> None:
        """Record a unit as finished: from now on `resume` skips it."""
        self.write(f"ledger/{unit}.json", json.dumps(entry, sort_keys=True).encode())

    def finished(self) -> set[str]:
        """Return the ids of the units in the ledger."""
        selector = fs.FileSelector(self._path("ledger"), allow_not_found=True)
        return {
            info.base_name.removesuffix(".json")
            for info in self._fs.get_file_info(selector)
            if info.base_name.endswith(".json") and not info.base_name.startswith(".")
        }

    def table(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Return a table, or some of its columns; empty if nothing was written to it.

        Raises:
            BadInput: when a file of it is damaged.
        """
        names = list(columns) if columns is not None else TABLES[name].names
        paths = self._parts(name)
        if not paths:
            return TABLES[name].empty_table().select(names)
        return pa.concat_tables(self._part(path, name, names) for path in paths)

    def _parts(self, table: str) -> list[str]:
        """Return the paths of a table's files."""
        selector = fs.FileSelector(self._path(table), allow_not_found=True)
        return sorted(
            info.path
            for info in self._fs.get_file_info(selector)
            if info.base_name.endswith(".parquet") and not info.base_name.startswith(".")
        )

    def _as_begun(self, schema: pa.Schema) -> pa.Schema:
        """Return a table's columns under the names that the run's files have for them.

        A run that an earlier version began goes on under its names: a table whose files differ
        would lose a column where it is not read through this class.
        """
        names = [FORMER.get(name, name) if self._is_former else name for name in schema.names]
        fields = [field.with_name(name) for field, name in zip(schema, names, strict=True)]
        return pa.schema(fields)

    @cached_property
    def _is_former(self) -> bool:
        """Whether an earlier version began the run: asked before the first rows are written."""
        for table in [name for name, schema in TABLES.items() if FORMER.keys() & {*schema.names}]:
            for path in self._parts(table):
                if self._local and obstacle(Path(path)):
                    continue
                with contextlib.suppress(pa.ArrowException, OSError):  # a damaged one tells nothing
                    stored = pq.read_schema(path, filesystem=self._fs)
                    return not FORMER.keys() & {*stored.names}
        return False

    def _part(self, path: str, table: str, columns: list[str]) -> pa.Table:
        """Return the rows of one file of a table, whichever names its columns have."""
        schema = TABLES[table]
        former = {name: old for name, old in FORMER.items() if name in columns}
        either = [*schema, *(schema.field(name).with_name(old) for name, old in former.items())]
        try:
            if self._local and (what := obstacle(Path(path))):
                raise OSError(what)
            part = pq.read_table(
                path,
                filesystem=self._fs,
                schema=pa.schema(either),
                columns=[*columns, *former.values()],
            )
            for name, old in former.items():  # the one that is not in the file is empty
                known = pc.coalesce(part[name], part[old])
                part = part.set_column(columns.index(name), schema.field(name), known)
            return part.select(columns)
        except (pa.ArrowException, OSError) as error:
            unit = path.rpartition("/")[2].removesuffix(".parquet")
            entry = f"ledger/{unit}.json"
            both = f" and {entry} of the run" if self.exists(entry) else ""
            reason = str(error).partition("\n")[0][:200]
            what = (
                f"damaged Parquet file ({reason}): delete it{both}, and "
                f"`gauntlet resume {self.location}` makes its rows anew"
            )
            raise BadInput(Problem(path, what)) from None

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"
