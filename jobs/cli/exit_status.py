"""How every command ends: its exit status, and a signal that asks it to."""

from __future__ import annotations

import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from types import FrameType
from typing import NoReturn, ParamSpec

import typer

from gauntlet.jobs.reports.terminal import terminal
from gauntlet.pipeline.problems import BadInput

SHOWN_PROBLEMS = 20
"""Problems that are printed; the rest are of the same kinds, or come up again."""

Arguments = ParamSpec("Arguments")


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


def end(
    command: Callable[Arguments, int], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> NoReturn:
    """Do a command and leave with its exit status; bad input is listed, one problem a line.

    Of more problems than a person reads at once the first are printed, and how many there are.
    """
    try:
        with termination_raised():
            status = command(*args, **kwargs)
    except BadInput as error:
        for problem in error.problems[:SHOWN_PROBLEMS]:
            say(str(problem))
        count = len(error.problems)
        if count > 1:
            first = f"; the first {SHOWN_PROBLEMS} are shown" if count > SHOWN_PROBLEMS else ""
            text = f"{count:,} problems{first}"
            terminal(stderr=True).print(text, style="bold", highlight=False)
        status = Status.REFUSED
    except KeyboardInterrupt as error:
        status = said(error)
    except Exception:
        # An error of ours or of a library's, of whatever type: Python's own status for it, 1, would
        # be that of a run with failed units.
        traceback.print_exc()
        status = Status.STOPPED
    raise typer.Exit(int(status))


def say(text: str) -> None:
    """Print a line beside the results."""
    terminal(stderr=True).print(text, soft_wrap=True)


def said(error: KeyboardInterrupt, how_to_go_on: str = "") -> Status:
    """Say what ended a command, and return its status."""
    status = Status.TERMINATED if isinstance(error, Terminated) else Status.INTERRUPTED
    say(f"{status.name.lower()}{how_to_go_on and '; '}{how_to_go_on}")
    return status
