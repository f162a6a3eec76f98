"""How every command ends: its exit status, and a signal that asks it to."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from types import FrameType
from typing import NoReturn


class Status(IntEnum):
    """The exit status, which means the same in every command."""

    DONE = 0
    INCOMPLETE = 1
    REFUSED = 2
    STOPPED = 3
    INTERRUPTED = 128 + signal.SIGINT
    TERMINATED = 128 + signal.SIGTERM

    @property
    def meaning(self) -> str:
        """What a person who sees the number is told."""
        return _MEANINGS[self]


_MEANINGS = {
    Status.DONE: "done",
    Status.INCOMPLETE: "done, but units failed or what was made is not good enough",
    Status.REFUSED: "refused before any work: the job, an option, a run's folder",
    Status.STOPPED: "stopped, resumable: storage, a lost cluster, a fault",
    Status.INTERRUPTED: "interrupted (Ctrl-C), resumable",
    Status.TERMINATED: "terminated (SIGTERM), resumable",
}

IN_HELP = "Exit status: " + "; ".join(f"{status:d} {status.meaning}" for status in Status) + "."
"""What the help of every command ends with."""


class Terminated(KeyboardInterrupt):
    """The process was asked to end (SIGTERM): whatever cleans up after Ctrl-C does so now."""


@contextmanager
def termination_raised() -> Iterator[None]:
    """Raise `Terminated` where SIGTERM would end the process with everything left behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> NoReturn:
        raise Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
