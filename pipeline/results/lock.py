"""One driver a run: a file that says who is at work, and whether that driver still lives."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from shlex import quote
from types import TracebackType
from typing import Self

from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.results.holder import Holder
from gauntlet.pipeline.results.lease import Lease
from gauntlet.pipeline.results.lock_file import LockFile
from gauntlet.pipeline.results.storage import Storage

NAME = "lock.json"
BEAT = 15.0
"""Seconds between two signs of life."""
SILENCE = 120.0
"""Seconds without one after which a driver on another machine is taken for dead."""


class LockLost(OSError):
    """Another driver took the run over: this one was silent for too long."""


class Lock:
    """Holds a run for this process, as a context; a dead driver's lock is taken over.

    One of several drivers gets it: on file systems by a file that one can create, on object stores
    by a lease, an object that is written under conditions.

    Args:
        storage: the run's files.
        note: hears that a lock was taken over.

    Raises:
        BadInput: on entering, when a living driver holds the run; at once, when what a lease takes
            is not installed.
    """

    def __init__(self, storage: Storage, note: Callable[[str], None] = lambda text: None) -> None:
        self._storage, self._note = storage, note
        store = storage.conditional
        self._sign = LockFile(storage, NAME) if store is None else Lease(store, NAME, note)
        self._mine = Holder.here()
        self._released = threading.Event()
        self._beating = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Self:
        dead, self._mine = None, Holder.here()
        with self._sign.judging():
            while not self._sign.take(self._mine):
                dead = self._dead()
                if self._sign.take_over(self._mine):
                    break
        if dead is not None:
            self._note(f"took the run over from {dead}, which is no more at work")
        self._storage.hold()
        self._beating.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._released.set()
        self._beating.join(BEAT)  # a sign of life after the end would be nobody's
        with suppress(OSError):  # storage may be what ended the run; the process ends soon, too
            if self._is_mine(self._sign.read()):
                self._sign.remove()

    def check(self) -> None:
        """Check that the lock is held still.

        Raises:
            LockLost: when it is not.
            FileNotFoundError: when the run's folder is gone, and the lock with it.
        """
        self._storage.require()
        holder = self._sign.read()
        if not self._is_mine(holder):
            what = f"{NAME} was removed, by hand or by another driver"
            if holder is not None:
                what = f"another driver has taken this run over ({holder.name})"
            where = self._storage.location
            raise LockLost(f"{where}: {what}; nothing more is recorded here")

    def _is_mine(self, holder: Holder | None) -> bool:
        return holder is not None and holder.token == self._mine.token

    def _dead(self) -> str:
        """Return who held the lock, or refuse to take it from one that lives."""
        holder, name = None, "an unknown process"
        try:
            holder = self._sign.read()
        except OSError as error:
            name += f" ({NAME} {error})"
        name = name if holder is None else holder.name
        if _holds(holder, self._sign.age):
            what = (
                f"{name} is at work on this run: wait until it ends, see what is finished with "
                f"`gauntlet report {quote(self._storage.location)}`, or end it"
            )
            raise BadInput(Problem(self._storage.location, what))
        return name

    def _beat(self) -> None:
        while not self._released.wait(BEAT):
            with suppress(OSError):  # a commit will say what is wrong
                if not self._sign.renew(self._mine):
                    return  # and whose the run is now


def driver(storage: Storage) -> tuple[str, bool] | None:
    """Return who holds a run, in words, and whether it lives; None where nobody does.

    On object stores it lives as far as this machine's clock tells.
    """
    sign, holder = LockFile(storage, NAME), None
    if not storage.exists(NAME):
        return None
    with suppress(OSError):
        holder = sign.read()
    name = "an unknown process" if holder is None else holder.name
    return name, _holds(holder, sign.age)


def is_held(storage: Storage) -> bool:
    """Return whether a living driver is at work on a run."""
    held = driver(storage)
    return held is not None and held[1]


def _holds(holder: Holder | None, age: Callable[[], float | None]) -> bool:
    """Return whether a lock's holder lives: as its machine says, or because it says so itself."""
    if holder is not None and holder.lives is not None:
        return holder.lives
    silent = age()
    return silent is not None and silent < SILENCE
