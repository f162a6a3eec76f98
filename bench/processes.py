"""CPU time and memory of this process and of all that it has started, by what they are (Linux)."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_RAYS_OWN = ("IDLE", "DashboardAgent", "RuntimeEnvAgent")
_TICK = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Reading:
    """The clocks at one moment.

    Attributes:
        at: seconds, by `time.perf_counter`.
        cpu: seconds of CPU time by kind of process: `driver`, an actor's class, or `Ray`.
        count: processes of each kind.
        memory: bytes that the largest process of each kind has to itself.
        machine: seconds of CPU time of everything on the machine.
    """

    at: float
    cpu: Mapping[str, float]
    count: Mapping[str, int]
    memory: Mapping[str, int]
    machine: float


def read() -> Reading:
    """Read the clocks; each stands still for 10 ms at a time."""
    own = os.getpid()
    parents, ticks = {}, {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and (stat := _text(folder / "stat")):
            # The name, in brackets, may hold spaces: count from the state after it.
            fields = stat.rpartition(")")[2].split()
            parents[int(folder.name)] = int(fields[1])
            ticks[int(folder.name)] = int(fields[11]) + int(fields[12])
    cpu: dict[str, float] = defaultdict(float)
    count: dict[str, int] = defaultdict(int)
    memory: dict[str, int] = defaultdict(int)
    for process, used in ticks.items():
        if process == own or _is_below(process, own, parents):
            kind = "driver" if process == own else _kind(process)
            cpu[kind] += used * _TICK
            count[kind] += 1
            memory[kind] = max(memory[kind], _own_memory(process))
    user, nice, system, _, _, irq, soft = map(int, _text(Path("/proc/stat")).split()[1:8])
    machine = (user + nice + system + irq + soft) * _TICK
    return Reading(time.perf_counter(), dict(cpu), dict(count), dict(memory), machine)


def _is_below(process: int, ancestor: int, parents: Mapping[int, int]) -> bool:
    while process in parents:
        process = parents[process]
        if process == ancestor:
            return True
    return False


def _kind(process: int) -> str:
    """Return an actor's class: Ray calls its process `ray::CLASS`, or `ray::CLASS.METHOD`."""
    title = _text(Path(f"/proc/{process}/cmdline")).partition("\0")[0]
    actor = title.removeprefix("ray::").partition(".")[0]
    return actor if title.startswith("ray::") and actor not in _RAYS_OWN else "Ray"


def _own_memory(process: int) -> int:
    """Return the bytes in memory that belong to no file and are not shared."""
    for line in _text(Path(f"/proc/{process}/status")).splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:  # it has just ended
        return ""
