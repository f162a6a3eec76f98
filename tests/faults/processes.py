"""The processes that descend from this one, whoever their parents were."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER


@dataclass(frozen=True)
class Process:
    """A process.

    Attributes:
        pid: its number.
        name: Ray's name of an actor (``Hub``), or the program's (``raylet``, ``python3``).
    """

    pid: int
    name: str


@contextmanager
def adopting() -> Iterator[None]:
    """Make this process the parent of descendants whose own parents are gone, in this context."""
    control = ctypes.CDLL(None).prctl
    control(_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        control(_SUBREAPER, 0, 0, 0, 0)


def descendants(root: int | None = None) -> list[Process]:
    """Return the living processes below one, by default this one; reap those of its own."""
    root, parents = root or os.getpid(), dict(_parents())
    found = []
    for pid, (parent, state) in parents.items():
        if state == "Z":
            if parent == os.getpid():
                _reap(pid)
            continue
        above = parent
        while above not in (0, root):
            above = parents.get(above, (0, ""))[0]
        if above == root:
            found.append(Process(pid, _name(pid)))
    return found


def kill_all(processes: list[Process]) -> None:
    """End processes that were left."""
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)


def wait_until_gone(but: set[int], seconds: float) -> list[Process]:
    """Return who is still there below this process after a time, without some."""
    until = time.monotonic() + seconds
    while left := [process for process in descendants() if process.pid not in but]:
        if time.monotonic() > until:
            break
        time.sleep(0.05)
    return left


_statuses: dict[int, int] = {}


def status_of(pid: int) -> int | None:
    """Return the exit status of a child, minus the signal that ended it; None while it lives."""
    if pid not in _statuses:
        _reap(pid)
    return _statuses.get(pid)


def _reap(pid: int) -> None:
    with suppress(ChildProcessError):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            _statuses[pid] = os.waitstatus_to_exitcode(status)


def _parents() -> Iterator[tuple[int, tuple[int, str]]]:
    """Yield every process with its parent and state."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
            yield int(path.parent.name), (int(parent), state)


def _name(pid: int) -> str:
    with suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        if words[0].startswith("ray::"):
            return words[0].removeprefix("ray::").partition(".")[0].partition(" ")[0]
        program = Path(words[0]).name
        script = next((Path(word).name for word in words[1:] if word.endswith(".py")), "")
        return script or program
    return "gone"
