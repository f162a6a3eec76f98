"""What a run says goes to whoever listens, and into its log once there is a folder for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from gauntlet.pipeline.progress import Progress
from gauntlet.pipeline.results.run_log import RunLog
from gauntlet.pipeline.results.storage import Storage


class Logged:
    """Hands everything on, and keeps what is said for the log; safe to call from threads.

    Args:
        progress: who listens.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._before: list[tuple[float, str]] = []
        self._log: RunLog | None = None
        self._stages: set[str] = set()
        self._lock = threading.Lock()

    @contextmanager
    def into(self, storage: Storage) -> Iterator[None]:
        """Write what was said, is said meanwhile, and what ended it, to a run's log."""
        with RunLog(storage) as log:
            with self._lock:
                for when, text in self._before:
                    log.add(text, when)
                self._log, self._before = log, []
            try:
                yield
            except BaseException as error:
                said = f": {error}" if str(error) else ""
                log.add(f"ended by {type(error).__name__}{said}")
                raise
            finally:
                self._log = None

    def stage(self, name: str, total: int, unit: str = "examples") -> None:
        """Hand on; log the first time."""
        self._progress.stage(name, total, unit)
        if name not in self._stages:
            self._stages.add(name)
            self.log(f"{name}: {total:,} {unit}")

    def advance(self, name: str, count: int) -> None:
        """Hand on."""
        self._progress.advance(name, count)

    def note(self, text: str) -> None:
        """Hand on and log."""
        self._progress.note(text)
        self.log(text)

    def warn(self, text: str) -> None:
        """Hand on and log."""
        self._progress.warn(text)
        self.log(f"warning: {text}")

    def log(self, text: str) -> None:
        """Log, at once or when the run has a folder."""
        with self._lock:
            if self._log is None:
                self._before.append((time.time(), text))
            else:
                self._log.add(text)
