"""Processes without which a Ray session is lost: Ray then ends this process, too, in its own way.

It does so from within C++, where nothing is said that helps a person, at once or a minute later.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from gauntlet.actors.address import answers

EVERY = 3.0
"""Seconds between two looks at a cluster."""

_RAYS_LIMIT = "RAY_gcs_rpc_server_reconnect_timeout_s", 60.0
"""Names the seconds after which Ray ends a process that cannot reach its cluster, and the usual."""
SHARE = 0.75
"""Of those, after which a run ends by itself."""


class Watch:
    """Hears at once when a process of this machine ends.

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


def raylet_here() -> dict[str, int]:
    """Return the number of the raylet of this machine, by what it is called, where there is one."""
    node: Any = import_module("ray._private.worker")._global_node
    if node is None:  # a client of Ray's has none
        return {}
    named = f"--raylet_socket_name={node.raylet_socket_name}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is somebody else's
            if named in (folder / "cmdline").read_bytes().split(b"\0"):
                return {"its raylet": int(folder.name)}
    return {}


class Contact:
    """Looks again and again whether anything listens where a cluster's control service (GCS) was.

    Args:
        address: HOST:PORT.
        note: told when nothing does, and when something does again.
        gone: told, in another thread, when nothing did for almost as long as Ray waits.
    """

    def __init__(
        self, address: str, note: Callable[[str], object], gone: Callable[[str], object]
    ) -> None:
        self._address, self._note, self._gone = address, note, gone
        self._over = threading.Event()
        name, usual = _RAYS_LIMIT
        self._limit = SHARE * float(os.environ.get(name, usual))
        threading.Thread(target=self._look, daemon=True).start()

    def stop(self) -> None:
        """Look no more."""
        self._over.set()

    def _look(self) -> None:
        cluster, since = f"the cluster at {self._address}", 0.0
        while not self._over.wait(EVERY):
            if answers(self._address):
                if since:
                    self._note(f"{cluster} answers again")
                since = 0.0
            elif not since:
                since = time.monotonic()
                self._note(f"{cluster} does not answer: it is waited for {self._limit:g} s")
            elif time.monotonic() > since + self._limit and not self._over.is_set():
                self._gone(f"{cluster} is gone")
                return
