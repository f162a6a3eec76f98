"""A real pseudo-terminal of any width, and what a command prints on it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import typer

from gauntlet.jobs.cli.app import app

WIDTHS = (60, 80, 100, 120)
_STYLES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Screen:
    """What was sent to the terminal so far."""

    def __init__(self) -> None:
        self.sent = ""

    @property
    def text(self) -> str:
        """The text without the sequences that colour it or move the cursor."""
        return _STYLES.sub("", self.sent).replace("\r\n", "\n")

    @property
    def lines(self) -> list[str]:
        """The lines of the text."""
        return self.text.splitlines()


@contextmanager
def pseudo_terminal(columns: int) -> Iterator[Screen]:
    """Put a terminal in the place of this process's input and output, and of `sys.stderr`.

    The descriptor of errors stays: threads of libraries write there whenever something takes long.
    """
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    screen, kept = Screen(), {number: os.dup(number) for number in (0, 1)}
    reader = threading.Thread(target=_read, args=(master, screen))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TERM", "xterm-256color")
        for variable in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"):
            patch.delenv(variable, raising=False)
        for number in kept:
            os.dup2(slave, number)
        reader.start()
        try:
            with os.fdopen(slave, "w", encoding="utf-8") as stream:
                patch.setattr(sys, "stdout", stream)
                patch.setattr(sys, "stderr", stream)
                yield screen
        finally:
            for number, before in kept.items():
                os.dup2(before, number)
                os.close(before)
            # The reader ends when the last descriptor of the terminal's other side is closed.
            reader.join()
            os.close(master)


def _read(master: int, screen: Screen) -> None:
    received = b""
    try:
        while part := os.read(master, 65536):
            received += part
    except OSError:  # Linux says by an error that nobody writes any more
        pass
    screen.sent = received.decode("utf-8")


def shown(columns: int, *arguments: str) -> Screen:
    """Return what `gauntlet ARGUMENTS` prints on a terminal; the command must succeed."""
    with pseudo_terminal(columns) as screen:
        try:
            code = app(list(arguments), standalone_mode=False)
        except typer.Exit as end:
            code = end.exit_code
    assert not code, screen.text
    return screen
