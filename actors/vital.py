"""Processes without which a Ray session is lost: Ray then ends this process, too, in its own way.

It does so from within C++, where nothing is said that helps a person, at once or a minute later.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable, Mapping


class Watch:
    """Hears at once when a child of this process ends.

    Args:
        processes: their numbers, by what they are called.
        gone: told the name of the first that ends, in another thread.
    """

    def __init__(self, processes: Mapping[str, int], gone: Callable[[str], object]) -> None:
        self._gone = gone
        self._reader, self._writer = os.pipe()
        self._handles: dict[int, str] = {}
        self._lost: list[str] = []
        if hasattr(os, "pidfd_open"):  # on Linux
            for name, number in processes.items():
                try:
                    self._handles[os.pidfd_open(number)] = name
                except ProcessLookupError:
                    self._lost.append(name)
                except OSError:
                    continue  # who cannot be watched is not missed
        self._thread = threading.Thread(target=self._wait, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Hear nothing any more: they are about to be ended."""
        os.write(self._writer, b"\0")
        self._thread.join()
        for handle in (self._reader, self._writer, *self._handles):
            os.close(handle)

    def _wait(self) -> None:
        if self._lost:
            self._gone(self._lost[0])
            return
        poll = select.poll()
        for handle in (self._reader, *self._handles):
            poll.register(handle, select.POLLIN)
        ready = [handle for handle, _ in poll.poll()]
        if self._reader not in ready:
            self._gone(self._handles[ready[0]])
