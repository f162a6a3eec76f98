"""Who holds a run, and whether that process still lives."""

from __future__ import annotations

import os
import socket
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Self

from pydantic import ValidationError

from gauntlet.pipeline.spec import Stored


class Holder(Stored):
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
    beats: int = 0
    """Signs of life so far, where each is written."""

    @classmethod
    def here(cls) -> Self:
        """Return this process as the holder of a new lock."""
        return cls(
            host=socket.gethostname(),
            machine=machine(),
            process=os.getpid(),
            born=_born(os.getpid()) or "",
            since=time.time(),
            token=uuid.uuid4().hex,
        )

    @classmethod
    def read(cls, content: bytes) -> Self | None:
        """Return who a lock says, None if it says nothing."""
        try:
            return cls.model_validate_json(content)
        except ValidationError:
            return None

    @property
    def content(self) -> bytes:
        """What the lock says."""
        return self.model_dump_json().encode()

    @property
    def name(self) -> str:
        """Who it is, for a person."""
        age = max(0, round(time.time() - self.since))
        spent = f"{age} s" if age < 120 else f"{age // 60} min"
        return f"process {self.process} on {self.host}, begun {spent} ago"

    @property
    def lives(self) -> bool | None:
        """Whether the process lives; None where it cannot be seen from here."""
        return _born(self.process) == self.born if self.machine == machine() else None


def machine() -> str:
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
