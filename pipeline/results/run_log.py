"""`run.log`: what a run said, with the time, in its folder; attempts that follow add to it.

A local log grows line by line. Objects cannot be appended to: there `run.log/` holds parts, named
by the time that they begin at, so that their order is the log's.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from gauntlet.pipeline.credentials import without_credentials
from gauntlet.pipeline.results.storage import Storage

NAME = "run.log"
EVERY = 30.0
"""Seconds between two parts on an object store, at least."""
END = 2**16
"""Bytes at the end of a log, among which its last line is."""


class RunLog:
    """Adds lines to a run's log, as a context; any thread may.

    A log that cannot be written is no reason to end a run: what is lost is said nowhere.

    Args:
        storage: the run's files.
        every: seconds between two parts on an object store.
    """

    def __init__(self, storage: Storage, every: float = EVERY) -> None:
        self._storage, self._every = storage, every
        self._file: IO[str] | None = None
        self._waiting: list[str] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()

    def __enter__(self) -> Self:
        if self._storage.moves:
            with suppress(OSError):
                self._storage.create(NAME, b"")  # the run's own, which `withdraw` takes back
                path = Path(self._storage.address, NAME)
                # A stranger's run folder may have a pipe there, or a link to somewhere else.
                how = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK
                self._file = open(
                    os.open(path, how), "a", encoding="utf-8", errors="replace", buffering=1
                )
        else:
            self._writer = threading.Thread(target=self._write_parts, daemon=True)
            self._writer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        if self._file is not None:
            with suppress(OSError), self._lock:
                self._file.close()
        elif not self._storage.moves:
            self._writer.join(self._every)

    def add(self, text: str, when: float | None = None) -> None:
        """Add a text, with the time.

        Args:
            text: of a line, or more of them.
            when: in seconds of Unix time; by default now.
        """
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(when))
        said = without_credentials(text).splitlines()
        lines = "".join(f"{stamp} {line}\n" for line in said)
        with self._lock:
            if not self._storage.moves:
                self._waiting.append(lines)
            elif self._file is not None:
                with suppress(OSError, ValueError):  # a full disk; a thread that outlived the run
                    self._file.write(lines)

    def _write_parts(self) -> None:
        while not self._closing.wait(self._every):
            self._write_part()
        self._write_part()

    def _write_part(self) -> None:
        with self._lock:
            lines, self._waiting = self._waiting, []
        if lines:
            content = "".join(lines).encode(errors="replace")
            with suppress(OSError):
                self._storage.write(f"{NAME}/{time.time_ns():020d}.txt", content)


def log_of(storage: Storage) -> str:
    """Return a run's log; empty if it has none.

    Raises:
        OSError: when it cannot be read.
    """
    names = [NAME] if storage.moves else [*storage.sizes(NAME)]
    found = (storage.read(name) for name in names if storage.exists(name))
    return b"".join(found).decode(errors="replace")


def last_line(storage: Storage) -> str:
    """Return the last line of a run's log, of which only the end is read; empty if it has none.

    Raises:
        OSError: when it cannot be read.
    """
    names = [NAME] if storage.moves else [*storage.sizes(NAME)][-1:]
    for name in names:
        if storage.exists(name):
            with storage.opened(name) as file:
                file.seek(max(0, file.size() - END))
                lines = file.read().decode(errors="replace").splitlines()
            return lines[-1] if lines else ""
    return ""
