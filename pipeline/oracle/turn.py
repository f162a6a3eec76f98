"""Whose turn it is to compute, among threads that share a core."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from types import TracebackType


class Turn:
    """Held by the one thread that computes; left while it waits for others.

    Loops side by side in one process take the interpreter from each other at every operation, and
    what is in the caches: each step of each of them then takes longer than one after the other.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()

    @contextlib.contextmanager
    def left(self) -> Iterator[None]:
        """Give the turn away while something is waited for; only for the thread that has it."""
        self._lock.release()
        try:
            yield
        finally:
            self._lock.acquire()
