"""The file by which a run on a local path or a network file system is held."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gauntlet.pipeline.results.holder import Holder
from gauntlet.pipeline.results.storage import Storage


class LockFile:
    """A file that one of several processes creates; its age is how long its holder is silent."""

    def __init__(self, storage: Storage, name: str) -> None:
        self._storage, self._name = storage, name

    def take(self, holder: Holder) -> bool:
        """Take what nobody holds; return whether that succeeded."""
        return self._storage.create(self._name, holder.content)

    def take_over(self, holder: Holder) -> bool:
        """Take what was read last from whom it names; return whether that succeeded."""
        self._storage.delete(self._name)
        return self.take(holder)

    def renew(self, holder: Holder) -> bool:
        """Give a sign of life; return whether the run is held still."""
        held = self.read()
        if held is None or held.token != holder.token:
            return False
        self._storage.touch(self._name)
        return True

    def read(self) -> Holder | None:
        """Return who holds the run, as far as the file says it.

        Raises:
            OSError: when nobody knows.
        """
        if not self._storage.exists(self._name):
            return None
        return Holder.read(self._storage.read(self._name))

    def age(self) -> float | None:
        """Return for how many seconds the holder has been silent; None if there is none."""
        return self._storage.age(self._name)

    def remove(self) -> None:
        """Let the run go."""
        self._storage.delete(self._name)

    @contextmanager
    def judging(self) -> Iterator[None]:
        """Let one process of this machine at a time judge a lock: two could take it over."""
        handle = None
        with suppress(OSError):  # a file system that has no such locks
            handle = os.open(Path(self._storage.location), os.O_RDONLY)
            fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            yield
        finally:
            if handle is not None:
                os.close(handle)
