"""Storage that keeps a run waiting: said once, by whoever of its processes finds it first."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

from gauntlet.pipeline.results.patience import Patience

DRIVER = -1
"""Number of the driver among those who write; carriers have theirs."""


class Pauses:
    """Who waits for storage; safe to use from threads.

    Args:
        seconds: for which each of them tries.
        note: told when the first begins to wait, and when the last could write.
    """

    def __init__(self, seconds: float, note: Callable[[str], None]) -> None:
        self._seconds, self._note = seconds, note
        self._waiting: dict[int, str] = {}
        self._lock = threading.Lock()

    def patience(self, where: str) -> Patience:
        """Return the driver's patience with the storage of a run's folder."""
        return Patience(self._seconds, where, partial(self.stalled, DRIVER))

    def stalled(self, who: int, cause: str) -> None:
        """Hear that storage fails somebody; that it does no more where there is no cause."""
        with self._lock:
            before = bool(self._waiting)
            if cause:
                self._waiting[who] = cause
            else:
                self._waiting.pop(who, None)
            changed = before != bool(self._waiting)
        if changed and cause:
            self._note(
                f"{cause}: the run pauses, and writing is tried again for {self._seconds:g} s "
                "(resources.storage_patience_s)"
            )
        elif changed:
            self._note("what waited could be written: the run goes on")
