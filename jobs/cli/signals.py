"""Signals that ask a command to end: it does within seconds, whatever the process is at."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

LIMIT = 4.0
"""Seconds in which a command that was asked to end may clean up by itself."""
LAST = 1.0
"""Seconds that are left to it then; or when it is asked once more, after as many."""


class Terminated(KeyboardInterrupt):
    """The process was asked to end (SIGTERM): whatever cleans up after Ctrl-C does so now."""


class HungUp(KeyboardInterrupt):
    """Its terminal is gone (SIGHUP)."""


ERRORS: dict[int, type[KeyboardInterrupt]] = {
    signal.SIGINT: KeyboardInterrupt,
    signal.SIGTERM: Terminated,
    signal.SIGHUP: HungUp,
}
"""What a signal raises in the main thread."""

_OVER = b"\0"
_last_acts: list[Callable[[KeyboardInterrupt], object]] = []


@contextmanager
def at_the_limit(act: Callable[[KeyboardInterrupt], object]) -> Iterator[None]:
    """Have the process ended that does not clean up in time; without this it may take its time.

    Args:
        act: what is done before that, for a second at most; given what the signal raised.
    """
    _last_acts.append(act)
    try:
        yield
    finally:
        _last_acts.remove(act)


@contextmanager
def signals_raised() -> Iterator[None]:
    """Raise the error of the first signal in the main thread.

    That one may be deep in a library that never comes back: another thread hears of the signal by
    itself, for `at_the_limit`. What the process was started to ignore (`nohup`) stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked = False

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if not asked:  # nothing interrupts the cleaning up
            asked = True
            raise ERRORS[number]

    before = {number: signal.getsignal(number) for number in ERRORS}
    heard = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    watcher = threading.Thread(target=_watch, args=(reader,), daemon=True)
    watcher.start()
    woken = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        for number in heard:
            signal.signal(number, end)
        yield
    finally:
        for number in heard:
            signal.signal(number, before[number])
        signal.set_wakeup_fd(woken)
        os.write(writer, _OVER)
        watcher.join()
        os.close(reader)
        os.close(writer)


def _watch(reader: int) -> None:
    """Wait for a signal, and end the process if it has to be done within the limit and is not."""
    while (number := os.read(reader, 1)) != _OVER:
        if number[0] not in ERRORS:
            continue
        since = time.monotonic()
        while (left := since + LIMIT - time.monotonic()) > 0:
            if not select.select([reader], [], [], left)[0]:
                break
            again = os.read(reader, 1)
            if again == _OVER:
                return
            # `timeout` and others send a signal twice in one breath: that is no impatience.
            if again[0] in ERRORS and time.monotonic() > since + LAST:
                break
        if _last_acts:
            _cut_off(number[0])


def _cut_off(number: int) -> None:
    def act() -> None:
        for last in reversed(_last_acts):
            with suppress(Exception):
                last(ERRORS[number]())

    leave_after(act, 128 + number)


def leave_after(act: Callable[[], object], status: int) -> None:
    """Do something, for a second at most, and end the process."""
    last = threading.Timer(LAST, os._exit, (status,))
    last.daemon = True
    last.start()
    with suppress(Exception):
        act()
    leave(status)


def leave(status: int) -> None:
    """End the process now: threads that wait for a lost process for ever would abort it later."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(status)
