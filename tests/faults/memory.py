"""A machine with little memory, as a case's processes see it, whatever else this one does.

Ray's memory monitor reads `/proc/meminfo`, and kills for as long as that says that too much is
used. Here it says what the case's own processes take, of a machine that has so much.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.faults.case import Case

PAUSE = 0.1
"""Seconds between two looks at what processes take."""
THRESHOLD = 0.95
"""Share of the memory above which the monitor kills."""
_SAYS = ("MemTotal:", "MemFree:", "MemAvailable:")
_CACHES = ("Buffers:", "Cached:", "SReclaimable:", "Active", "Inactive")
"""Begin lines on what files have: nothing here, so that all is free that no process has."""


@contextmanager
def small_machine(case: Case, gib: float) -> Iterator[None]:
    """Have the next commands of a case see a machine of so much memory, in this context."""
    whole, file, over = int(gib * 2**20), case.folder / "meminfo", threading.Event()
    lines = Path("/proc/meminfo").read_text().splitlines(keepends=True)
    rest = [
        f"{line.partition(':')[0]}: 0 kB\n" if line.startswith(_CACHES) else line
        for line in lines
        if not line.startswith(_SAYS)
    ]
    file.write_text("".join([*_told(whole, 0), *rest]))

    def watch() -> None:
        while not over.wait(PAUSE):
            says = _told(whole, sum(_kib(process.pid) for process in case.living()))
            with file.open("r+") as opened:  # in place, and always as long: it is mounted
                opened.write("".join(says))

    # Ray would rather believe a control group that this machine's processes are in.
    inner = f'mount --bind "{file}" /proc/meminfo && mount -t tmpfs x /sys/fs/cgroup && exec "$@"'
    case.wrap("unshare", "--mount", "--propagation", "private", "sh", "-c", inner, "sh")
    case.environment |= {
        "RAY_memory_usage_threshold": str(THRESHOLD),
        "RAY_memory_monitor_refresh_ms": str(int(1000 * PAUSE)),
    }
    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _told(whole: int, used: int) -> list[str]:
    free = max(0, whole - used)
    return [
        f"{name:<16}{kib:>8} kB\n" for name, kib in zip(_SAYS, (whole, free, free), strict=True)
    ]


def _kib(pid: int) -> int:
    """Return the memory that is a process's own; 0 if it is gone."""
    with suppress(OSError):
        _, resident, shared, *_ = map(int, Path(f"/proc/{pid}/statm").read_text().split())
        return (resident - shared) * os.sysconf("SC_PAGE_SIZE") // 1024
    return 0
