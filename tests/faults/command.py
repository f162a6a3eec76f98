"""A `gauntlet` command in a process of its own, and how it ended."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults import processes, warm

LONGEST = 900.0
"""Seconds after which a command that has not ended hangs."""


@dataclass(frozen=True)
class Ending:
    """How a command ended.

    Attributes:
        command: its first word.
        status: its exit status; minus the number of a signal that it died of; None if it hung.
        last: the last line that it printed beside the results.
        traceback: whether it printed a traceback or a stack of C.
        seconds: from its start.
    """

    command: str
    status: int | None
    last: str
    traceback: bool
    seconds: float


class Command:
    """A running command, the leader of a group of processes as in a terminal.

    Args:
        words: after `gauntlet`.
        environment: that it has beside the one of this process.
        log: what it prints goes to files of this name, with `.out` and `.err`.
        within: words of a program that starts it, such as `unshare`.
    """

    def __init__(
        self,
        words: Sequence[str],
        environment: dict[str, str],
        log: Path,
        within: Sequence[str] = (),
    ) -> None:
        self.words, self._log = words, log
        self.began, self._ended = time.time(), 0.0
        whole = {**os.environ, **environment}
        if not within:
            self.pid = warm.start(words, whole, log)
            return
        line = [*within, sys.executable, "-m", "gauntlet", *words]
        with Path(f"{log}.out").open("wb") as out, Path(f"{log}.err").open("wb") as err:
            started = subprocess.Popen(
                line, stdout=out, stderr=err, stdin=subprocess.DEVNULL,
                cwd=log.parent, env=whole, start_new_session=True,
            )  # fmt: skip
        self.pid = started.pid
        started.returncode = 0  # `processes` waits for it, as for those that it leaves behind

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return processes.status_of(self.pid) is not None

    @property
    def errors(self) -> str:
        """What it has printed beside the results so far."""
        return Path(f"{self._log}.err").read_text(errors="replace")

    def ending(self, longest: float = LONGEST) -> Ending:
        """Return how it ended, when it has; what hangs is killed."""
        until = self.began + longest
        while not self.ended and time.time() < until:
            time.sleep(0.02)
        seconds = time.time() - self.began
        hung = not self.ended
        if hung:
            processes.kill_all([processes.Process(self.pid, "driver")])
        text = self.errors
        lines = [line for line in text.splitlines() if line.strip()] or [""]
        marks = ("Traceback (most recent call last)", "*** SIG", "Stack trace")
        return Ending(
            self.words[0],
            None if hung else processes.status_of(self.pid),
            lines[-1].strip(),
            any(mark in text for mark in marks),
            round(seconds, 2),
        )
