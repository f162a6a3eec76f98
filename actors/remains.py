"""What is left of a Ray session: processes that write into its folder, and the folder.

Ray's processes mostly end with their parents, but a killed one leaves its children behind, its
agents for a minute. As a program this file waits until the process that started it is gone, however
that ended, and ends what it left; with the standard library alone, which takes milliseconds.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

GOODBYE = 5.0
"""Seconds in which processes that are about to end may still write into the folder."""
_AGAIN = 0.05
"""Seconds between two tries."""


def lock(folder: Path) -> int | None:
    """Lock a folder for as long as the descriptor that is returned is open.

    The lock is the kernel's: it goes with the process, however that ends, and no process number
    that is used again can be mistaken for it.

    Returns:
        The descriptor; None where locks do not work, as on some network file systems.

    Raises:
        BlockingIOError: when another process holds the lock.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            raise
        return None
    return descriptor


def end(folder: Path) -> None:
    """Kill the processes that write into a folder, and delete it from under them."""
    until = time.monotonic() + GOODBYE
    while True:
        left = [*processes(folder)]
        for process in left:
            with contextlib.suppress(OSError):
                os.kill(process, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)
        if not (left or folder.exists()) or time.monotonic() > until:
            return
        time.sleep(_AGAIN)


def processes(folder: Path) -> Iterator[int]:
    """Yield the processes but for this one that write into a folder, as Ray's do their logs."""
    for process in Path("/proc").glob("[0-9]*"):  # none on systems without it
        if int(process.name) != os.getpid() and _writes_into(folder, process / "fd"):
            yield int(process.name)


def _writes_into(folder: Path, files: Path) -> bool:
    """Return whether a process has a file in a folder open for writing, deleted ones included."""
    with contextlib.suppress(OSError):  # another user's, or one that has just ended
        for file in files.iterdir():
            with contextlib.suppress(OSError):  # it was closed just now
                inside = os.readlink(file).startswith(f"{folder}/")
                if inside and file.lstat().st_mode & stat.S_IWUSR:
                    return True
    return False


@contextlib.contextmanager
def seen_to(folder: Path) -> Iterator[None]:
    """Have another process end what this one may leave of a session, should it be killed.

    Args:
        folder: the session's, locked by this process.
    """
    # Isolated, and without installed packages: it must not wait for what they do when they load.
    # In a session of its own: Ctrl-C, a closed terminal and signals to a group pass it by.
    words = [sys.executable, "-I", "-S", __file__, str(folder)]
    silent = subprocess.DEVNULL
    try:
        other = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=silent, stderr=silent, cwd="/",
            start_new_session=True,
        )  # fmt: skip
    except OSError:  # no process is to be had: the next session deletes what is left
        yield
        return
    try:
        yield
    finally:
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            other.communicate(timeout=3 * GOODBYE)  # it ends when its input does
        other.kill()  # unless a child of this process has that, too
        other.wait()


def _when_alone(folder: Path) -> None:
    """Wait until nobody writes to the standard input any more, and end what is left."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    until = time.monotonic() + GOODBYE
    while folder.exists() and time.monotonic() < until:
        try:
            held = lock(folder)
        except BlockingIOError:  # the process is about to be gone, or a new session ends its rest
            time.sleep(_AGAIN)
            continue
        if held is not None:
            end(folder)
        return


if __name__ == "__main__":
    with contextlib.suppress(OSError):
        _when_alone(Path(sys.argv[1]))
