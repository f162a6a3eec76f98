"""Memory that one process makes and other processes of its machine map (Linux)."""

from __future__ import annotations

import mmap
import os
import secrets
from dataclasses import dataclass
from functools import cache

HEADER = 64
"""Bytes at the beginning of a segment, which hold its token; arrays begin at multiples of it."""
_NAME = "gauntlet"
SWITCH = "GAUNTLET_SHARED_MEMORY"
"""Variable of the environment that turns such memory off, for sandboxes where it misleads."""


class Unreachable(OSError):
    """A segment that this process cannot map, or that is gone."""


@dataclass(frozen=True)
class Handle:
    """What another process of the machine needs to map a segment.

    Attributes:
        machine: where it is.
        process: id of the process that made it.
        descriptor: its file descriptor there.
        size: bytes, header included.
        token: random, and in the segment's header for as long as the segment is in use: a process
            id or a descriptor that was given out again is never taken for it.
    """

    machine: str
    process: int
    descriptor: int
    size: int
    token: bytes


class Segment:
    """Memory of this process that others may map.

    It has no name, so nothing is left of it whatever dies: the kernel frees it with the last
    process that maps it.

    Raises:
        OSError: where the system has no such memory.
    """

    def __init__(self, size: int) -> None:
        if not hasattr(os, "memfd_create"):
            raise OSError("this system has no memfd_create")
        if os.environ.get(SWITCH) == "off":
            raise OSError(f"{SWITCH} is off")
        self._descriptor = os.memfd_create(_NAME)
        try:
            os.ftruncate(self._descriptor, size)
            self.memory = mmap.mmap(self._descriptor, size)
        except BaseException:
            os.close(self._descriptor)
            raise
        token = secrets.token_bytes(16)
        self.memory[: len(token)] = token
        self.handle = Handle(machine(), os.getpid(), self._descriptor, size, token)
        self.closed = False

    def close(self) -> None:
        """Let go of it, and tell whoever maps it; what this process still reads stays readable."""
        if not self.closed:
            self.closed = True
            self.memory[: len(self.handle.token)] = bytes(len(self.handle.token))
            os.close(self._descriptor)


class Mapping:
    """Another process's segment, mapped here.

    Attributes:
        memory: to write to.
        reading: the same bytes, where nobody can write by mistake.

    Raises:
        Unreachable: when the segment is on another machine, of another user, in a sandbox, or gone.
    """

    def __init__(self, handle: Handle) -> None:
        if handle.machine != machine():
            raise Unreachable("the segment is on another machine")
        path = f"/proc/{handle.process}/fd/{handle.descriptor}"
        try:
            # To open whatever else has that number might wait, or change something.
            if not os.readlink(path).startswith(f"/memfd:{_NAME}"):
                raise Unreachable(f"{path} is no segment")
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise Unreachable(f"{path}: {error.strerror or error}") from error
        try:
            if not HEADER <= handle.size <= os.fstat(descriptor).st_size:
                raise Unreachable(f"{path} has not the size that its handle states")
            self.memory = mmap.mmap(descriptor, handle.size)
            self.reading = mmap.mmap(descriptor, handle.size, access=mmap.ACCESS_READ)
        finally:
            os.close(descriptor)
        self._token = handle.token
        if not self.current:
            raise Unreachable(f"{path} is another segment than its handle states")

    @property
    def current(self) -> bool:
        """Whether it is what the handle named, and still in use."""
        return len(self._token) > 0 and self.memory[: len(self._token)] == self._token


@cache
def machine() -> str:
    """Return what tells this machine, since it was started, from others."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return os.uname().nodename
