"""One driver a run: a file that says who is at work, and whether that driver still lives."""

from __future__ import annotations

import fcntl
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import ValidationError

from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.results.storage import Storage
from gauntlet.pipeline.spec import Spec

NAME = "lock.json"
BEAT = 15.0
"""Seconds between two signs of life."""
SILENCE = 120.0
"""Seconds without one after which a driver on another machine is taken for dead."""


class Holder(Spec):
    """Who holds a run's lock."""

    host: str
    machine: str
    """Which start of which system, and which of its process tables: within one, process ids tell
    who lives."""
    process: int
    born: str
    """When the process began, as the system counts: process ids are used again."""
    since: float
    """When it took the lock, in seconds of Unix time."""
    token: str
    """Of this lock alone."""


class LockLost(OSError):
    """Another driver took the run over: this one was silent for too long."""


class Lock:
    """Holds a run for this process, as a context; a dead driver's lock is taken over.

    On local and network file systems one of several drivers gets it. An object store is asked and
    written in two steps: two drivers that begin within the same moment may both go on, until the
    next commit of the one that was first, which reads the lock before.

    Args:
        storage: the run's files.
        note: hears that a lock was taken over.

    Raises:
        BadInput: on entering, when a living driver holds the run.
    """

    def __init__(self, storage: Storage, note: Callable[[str], None] = lambda text: None) -> None:
        self._storage, self._note = storage, note
        self._content = b""
        self._released = threading.Event()

    def __enter__(self) -> Self:
        mine = Holder(
            host=socket.gethostname(),
            machine=_machine(),
            process=os.getpid(),
            born=_born(os.getpid()) or "",
            since=time.time(),
            token=uuid.uuid4().hex,
        )
        self._content = mine.model_dump_json().encode()
        with _alone(self._storage):
            dead = None
            while not self._storage.create(NAME, self._content):
                dead = self._dead(mine)
                self._storage.delete(NAME)
        if dead is not None:
            self._note(f"took the run over from {dead}, which is no more at work")
        threading.Thread(target=self._beat, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._released.set()
        with suppress(OSError):  # storage may be what ended the run; the process ends soon, too
            if self._is_mine():
                self._storage.delete(NAME)

    def check(self) -> None:
        """Check that the lock is held still.

        Raises:
            LockLost: when it is not.
        """
        if not self._is_mine():
            where = self._storage.location
            raise LockLost(f"{where}: another driver has taken this run over")

    def _is_mine(self) -> bool:
        return self._storage.exists(NAME) and self._storage.read(NAME) == self._content

    def _dead(self, mine: Holder) -> str:
        """Return who held the lock, or refuse to take it from one that lives."""
        holder = _read(self._storage)
        name = "an unknown process" if holder is None else _name(holder)
        if holds(self._storage, holder, mine.machine):
            what = (
                f"{name} is at work on this run: wait until it ends, see what is finished with "
                f"`gauntlet report {self._storage.location}`, or end it"
            )
            raise BadInput(Problem(self._storage.location, what))
        return name

    def _beat(self) -> None:
        while not self._released.wait(BEAT):
            with suppress(OSError):  # a commit will say what is wrong
                if self._is_mine():
                    self._storage.touch(NAME, self._content)


def driver(storage: Storage) -> tuple[str, bool] | None:
    """Return who holds a run, in words, and whether it lives; None where nobody does."""
    if not storage.exists(NAME):
        return None
    holder = _read(storage)
    name = "an unknown process" if holder is None else _name(holder)
    return name, holds(storage, holder, _machine())


def is_held(storage: Storage) -> bool:
    """Return whether a living driver is at work on a run."""
    return storage.exists(NAME) and holds(storage, _read(storage), _machine())


def holds(storage: Storage, holder: Holder | None, machine: str) -> bool:
    """Return whether a lock's holder lives, seen from a machine."""
    if holder is not None and holder.machine == machine:
        return _born(holder.process) == holder.born
    age = storage.age(NAME)
    return age is not None and age < SILENCE


def _read(storage: Storage) -> Holder | None:
    try:
        return Holder.model_validate_json(storage.read(NAME))
    except (ValidationError, OSError):
        return None


def _name(holder: Holder) -> str:
    age = max(0, round(time.time() - holder.since))
    spent = f"{age} s" if age < 120 else f"{age // 60} min"
    return f"process {holder.process} on {holder.host}, begun {spent} ago"


@contextmanager
def _alone(storage: Storage) -> Iterator[None]:
    """Let one process of this machine at a time judge a lock: two could take over the same one."""
    handle = None
    with suppress(OSError):  # an object store, or a file system that has no such locks
        handle = os.open(Path(storage.location), os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)


def _machine() -> str:
    """Return what tells this start of this system, and its process table, from all others."""
    found = [socket.gethostname()]
    with suppress(OSError):
        found.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        found.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(found)


def _born(process: int) -> str | None:
    """Return when a process began; empty where the system does not tell, None if it is gone."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass  # it is somebody else's
    try:
        state, *numbers = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "" if not Path("/proc/self").exists() else None
    return None if state in "ZX" else numbers[18]
