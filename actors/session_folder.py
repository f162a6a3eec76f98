"""Where a local Ray session keeps its files: a folder of its own that goes when it ends."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gauntlet.actors import remains
from gauntlet.pipeline.problems import BadInput, Problem

PREFIX = "gauntlet-"
"""Begins the folders' names."""
SOCKET_NAME = 103 if sys.platform == "darwin" else 107
"""Most bytes in the path of a socket."""
LONGEST = SOCKET_NAME - len(
    f"/{PREFIX}12345678/session_2026-01-31_12-00-00_123456_1234567/sockets/plasma_store"
)
"""Most bytes in the path of the folder around ours, so that Ray's sockets fit into it."""


@dataclass(frozen=True)
class SessionFolder:
    """A folder that one session uses, locked as long as its process lives.

    Attributes:
        path: the folder.
        lock: open descriptor of the folder that holds the lock; None where locks do not work.
    """

    path: Path
    lock: int | None

    @classmethod
    def make(cls, note: Callable[[str], None]) -> SessionFolder:
        """Make a folder where one can be, after deleting those that dead sessions left.

        Args:
            note: told why a place that the environment names is not used.

        Raises:
            BadInput: when there is no place for one.
        """
        refused = []
        for name, place in _places():
            _sweep(place)
            try:
                return cls._made_in(place)
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                refused.append(f"{name}: {reason}")
                if name != str(place):
                    note(f"{name} ({place}) is not used for Ray's files: {reason}")
        what = (
            f"no place for the files of a local Ray session ({'; '.join(refused)}); name a folder "
            f"of at most {LONGEST} characters that may be written to, or use placement in-process"
        )
        raise BadInput(Problem("RAY_TMPDIR", what))

    @classmethod
    def _made_in(cls, place: Path) -> SessionFolder:
        if len(os.fsencode(place)) > LONGEST:
            raise ValueError(f"longer than {LONGEST} characters, too long for sockets")
        while True:
            path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
            try:
                lock = remains.lock(path)
            except BlockingIOError:
                continue  # another session took it for one that was left, and deletes it
            if lock is None or path.exists():
                return cls(path, lock)
            os.close(lock)

    def remove(self) -> None:
        """Kill the processes that Ray left, and delete the folder from under them."""
        remains.end(self.path)
        if self.lock is not None:
            os.close(self.lock)


def _places() -> Iterator[tuple[str, Path]]:
    """Yield where a folder may be, with what names it, the person's own choices first."""
    for variable in ("RAY_TMPDIR", "TMPDIR"):
        if given := os.environ.get(variable):
            yield variable, Path(given).absolute()
    for usual in ("/tmp", "/var/tmp", "/dev/shm"):
        yield usual, Path(usual)


def _sweep(place: Path) -> None:
    """Delete our own folders here whose sessions are dead, and end what is left of those.

    Of a driver that was killed, agents of Ray may be left, which nobody else ends.
    """
    with contextlib.suppress(OSError):
        for path in place.glob(f"{PREFIX}????????"):
            with contextlib.suppress(OSError):
                if path.lstat().st_uid != os.getuid():
                    continue
                lock = remains.lock(path)
                if lock is not None:
                    SessionFolder(path, lock).remove()
