"""How every command ends: its exit status, and what is said."""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Callable
from enum import IntEnum
from typing import NoReturn, ParamSpec

import typer

from gauntlet.jobs.cli.signals import HungUp, Terminated, signals_raised
from gauntlet.jobs.reports.terminal import terminal
from gauntlet.pipeline.credentials import without_credentials
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
    HUNG_UP = 128 + signal.SIGHUP
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
    Status.HUNG_UP: "hung up (SIGHUP), resumable",
    Status.INTERRUPTED: "interrupted (Ctrl-C), resumable",
    Status.TERMINATED: "terminated (SIGTERM), resumable",
}

IN_HELP = "Exit status: " + "; ".join(f"{status:d} {status.meaning}" for status in Status) + "."
"""What the help of every command ends with."""


def end(
    command: Callable[Arguments, int], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> NoReturn:
    """Do a command and leave with its exit status; bad input is listed, one problem a line.

    Of more problems than a person reads at once the first are printed, and how many there are.
    """
    try:
        with signals_raised():
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
        show_trace()
        status = Status.STOPPED
    raise typer.Exit(int(status))


def say(text: str) -> None:
    """Print a line beside the results."""
    terminal(stderr=True).print(text, soft_wrap=True)


def show_trace() -> None:
    """Print where the error that is being handled comes from; it may repeat an address."""
    sys.stderr.write(without_credentials(traceback.format_exc()))


def said(error: KeyboardInterrupt, how_to_go_on: str = "") -> Status:
    """Say what ended a command, and return its status."""
    ends = {HungUp: Status.HUNG_UP, Terminated: Status.TERMINATED}
    status = ends.get(type(error), Status.INTERRUPTED)
    say(f"{status.name.lower().replace('_', ' ')}{how_to_go_on and '; '}{how_to_go_on}")
    return status
