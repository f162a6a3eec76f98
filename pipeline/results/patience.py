"""Storage that fails is tried again for a while: it may be full, read-only or away for minutes."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from gauntlet.pipeline.results.lock import LockLost

T = TypeVar("T")

PAUSE = 1.0
"""Seconds between two tries."""


class Insist(Protocol):
    """Carries out what writes, and may do so several times."""

    def __call__(self, act: Callable[[], T]) -> T:
        """Return what it returns."""


def once(act: Callable[[], T]) -> T:
    """Return what an act returns: what is refused is not tried again."""
    return act()


class StorageFailed(OSError):
    """Storage failed for longer than anybody waits for it."""


class Patience:
    """Tries again what storage refuses; safe to use from threads, of which each waits for its own.

    What another driver wrote is no failure of storage, and is not tried again.

    Args:
        seconds: for which it is tried.
        where: the run's folder.
        told: hears the cause when storage begins to fail, and nothing, "", when it works again.
    """

    def __init__(self, seconds: float, where: str, told: Callable[[str], None]) -> None:
        self._seconds, self._where, self._told = seconds, where, told
        self._cause = ""
        self._lock = threading.Lock()

    def insist(self, act: Callable[[], T]) -> T:
        """Return what an act returns that writes, and may write again what it has written.

        Raises:
            StorageFailed: when storage failed all the while.
        """
        since: float | None = None
        while True:
            try:
                found = act()
            except (StorageFailed, LockLost, FileExistsError):
                raise
            except OSError as error:
                now = time.monotonic()
                since = now if since is None else since
                cause = f"{self._where}: {_in_a_line(error)}"
                if now - since >= self._seconds:
                    raise StorageFailed(f"{cause} (for {self._seconds:g} s)") from error
                self._tell(cause)
                time.sleep(min(PAUSE, self._seconds))
            else:
                self._tell("")
                return found

    def _tell(self, cause: str) -> None:
        with self._lock:
            if bool(cause) != bool(self._cause):
                self._cause = cause
                self._told(cause)


def _in_a_line(error: OSError) -> str:
    """Return what an error of storage means, without the name of whatever file was written."""
    cause = getattr(error, "cause", error)  # as it was in another process
    number = getattr(cause, "errno", None)
    if isinstance(number, int):
        return os.strerror(number)
    return str(cause).strip().partition("\n")[0]
