"""Committing what is finished: at most once a second, whoever finishes it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self

from gauntlet.pipeline.results.record.chain import Record
from gauntlet.pipeline.results.record.entries import Commit, TableFile, UnitDone
from gauntlet.pipeline.results.storage import Storage

EVERY = 1.0
"""Seconds between two commits, at least: what a kill can cost."""


class Commits:
    """Gathers finished units from any thread and commits them together; closing commits the rest.

    The files of a commit are staged before, synced; they get their place once it is written.
    """

    def __init__(self, storage: Storage, record: Record) -> None:
        self._storage, self._record = storage, record
        self._gathering, self._writing = threading.Lock(), threading.Lock()
        self._files: dict[str, TableFile] = {}
        self._units: dict[str, UnitDone] = {}
        self._timer: threading.Timer | None = None
        self._last = -EVERY
        self._error: Exception | None = None
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._gathering:
            self._closed = True
            if self._timer is not None:
                self._timer.cancel()
        with suppress(*((OSError,) if error is not None else ())):
            self._commit()
            self._raise()

    def add(self, files: Iterable[TableFile], units: Mapping[str, UnitDone] | None = None) -> None:
        """Take in files, and the units whose last they are.

        Raises:
            OSError: when an earlier commit could not be written.
        """
        with self._gathering:
            self._raise()
            if self._closed:
                return  # a lane that outlived its run: nobody lists its files
            self._files |= {file.name: file for file in files}
            self._units |= units or {}
            if self._timer is None and (self._files or self._units):
                wait = max(0.0, self._last + EVERY - time.monotonic())
                self._timer = threading.Timer(wait, self._commit)
                self._timer.daemon = True
                self._timer.start()

    def _commit(self) -> None:
        """Commit what has gathered; `add` and closing raise what went wrong."""
        with self._writing:
            if self._error is not None:
                return
            with self._gathering:
                listed = self._record.files
                files = tuple(f for f in self._files.values() if listed.get(f.name) != f)
                units = self._units
                self._files, self._units, self._timer = {}, {}, None
                self._last = time.monotonic()
            try:
                if files or units:
                    self._record.append(Commit(files=files, units=units))
                    names = [file.name for file in files]
                    self._record.insist(lambda: self._storage.place(names))
            except Exception as error:  # in a thread of its own: `add` and closing raise it
                self._error = error

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error
