"""What reading an input must not do, whoever it is in the process that does it.

An audit hook hears of it before it happens. Nothing can take such a hook away again, so it asks
only while a flag is up.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NoReturn

from gauntlet import pipeline

SECONDS = 20
"""Of CPU, for an input of less than a megabyte."""
MEMORY = 2**30
"""Bytes by which the process may grow for it."""

_PROJECT = Path(pipeline.__file__).resolve().parents[1]
_LIBRARIES = tuple(
    {os.path.realpath(path) for path in sysconfig.get_paths().values()}
    | {os.path.realpath(sysconfig.get_path("stdlib"))}
)
_OWN = tuple(str(_PROJECT / name) for name in ("pipeline", "actors", "jobs", "gauntlet", "tests"))
_PICKLES = ("pickle.py", os.path.join("torch", "serialization.py"), "_weights_only_unpickler.py")
_STARTS = {"os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn",
           "subprocess.Popen", "pty.spawn"}  # fmt: skip
_CHANGES = {
    **dict.fromkeys(
        ("os.mkdir", "os.remove", "os.rmdir", "os.truncate", "os.chmod", "os.utime"), 1
    ),
    **dict.fromkeys(("os.rename", "os.link", "os.symlink"), 2),
}
"""Events that change files, with the number of paths that they begin with."""
_ALLOWED_PICKLED = {
    ("collections", "OrderedDict"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch", "FloatStorage"),
}
"""What the interpreter's own unpickler may look up; torch has one of its own, with its own list."""


class Forbidden(BaseException):
    """Something that no input may bring about; no `except Exception` hides it."""


class _State:
    """Of the hook: the folder that may be written while the flag is up, and what was refused."""

    folder: str | None = None
    installed = False
    refused: Forbidden | None = None


@contextmanager
def contained(folder: Path) -> Iterator[None]:
    """Fail if anything in here writes elsewhere, starts, connects, runs or unpickles something.

    Also if it takes more than `SECONDS` of CPU, or lets the process grow by more than `MEMORY`.
    """
    if not _State.installed:
        sys.addaudithook(_hear)
        _State.installed = True
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    handler = signal.signal(signal.SIGPROF, _too_long)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    _State.refused, _State.folder = None, os.path.realpath(folder)
    try:
        yield
    finally:
        _State.folder = None
        sys.dont_write_bytecode = bytecode
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, handler)
    if _State.refused is not None:  # in another thread, or swallowed on the way
        raise _State.refused
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    if grown > MEMORY:
        raise Forbidden(f"{grown:,} bytes of memory")
    if (spent := time.process_time() - started) > SECONDS:
        raise Forbidden(f"{spent:.0f} CPU seconds")


def _too_long(number: int, frame: FrameType | None) -> NoReturn:
    raise Forbidden(f"more than {SECONDS} CPU seconds")


def _hear(event: str, args: tuple[Any, ...]) -> None:
    if _State.folder is None:
        return
    judge = _JUDGES.get(event) or (_refuse if event.startswith("socket.") else None)
    if judge is None:
        return
    folder, _State.folder = _State.folder, None  # what a judge does is its own affair
    try:
        judge(event, args, folder)
    except Forbidden as error:
        _State.refused = error
        raise
    finally:
        _State.folder = folder


def _refuse(event: str, args: tuple[Any, ...], folder: str) -> None:
    raise Forbidden(f"{event} {args!r:.200}")


def _judge_open(event: str, args: tuple[Any, ...], folder: str) -> None:
    path, mode, flags = args
    writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) or (mode and set(mode) & set("wax+"))
    if writes and not isinstance(path, int):
        _judge_path(event, path, folder)


def _judge_change(event: str, args: tuple[Any, ...], folder: str) -> None:
    for path in args[: _CHANGES[event]]:
        if not isinstance(path, int):
            _judge_path(event, path, folder)


def _judge_path(event: str, path: Any, folder: str) -> None:
    real = os.path.realpath(os.fsdecode(path))
    if real != os.devnull and not f"{real}/".startswith(f"{folder}/"):
        raise Forbidden(f"{event} of {real}")


def _judge_exec(event: str, args: tuple[Any, ...], folder: str) -> None:
    (code,) = args
    name = code.co_filename if isinstance(code, CodeType) else "?"
    if name.startswith("<frozen") or _is_in(name, (*_LIBRARIES, *_OWN)):
        return
    # Named tuples and data classes are made from text, by the library that makes them.
    frame: FrameType | None = sys._getframe(2)
    by = frame.f_code.co_filename if frame is not None else ""
    if not name.startswith("<") or by.endswith(_PICKLES) or not _is_in(by, _LIBRARIES):
        raise Forbidden(f"exec of {name} by {by}")


def _judge_pickle(event: str, args: tuple[Any, ...], folder: str) -> None:
    if args[:2] not in _ALLOWED_PICKLED:
        raise Forbidden(f"unpickling of {'.'.join(map(str, args))}")


def _is_in(name: str, places: tuple[str, ...]) -> bool:
    real = os.path.realpath(name)
    return any(real.startswith(f"{place}/") for place in places)


_JUDGES: dict[str, Callable[[str, tuple[Any, ...], str], None]] = {
    **dict.fromkeys(_STARTS, _refuse),
    **dict.fromkeys(_CHANGES, _judge_change),
    "open": _judge_open,
    "exec": _judge_exec,
    "pickle.find_class": _judge_pickle,
}
