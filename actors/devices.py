"""What there is to work on: the machines of a cluster, or this one."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from ray._private.utils import get_num_cpus


@dataclass(frozen=True)
class Node:
    """One machine of a cluster.

    Attributes:
        cpus: CPU cores.
        gpus: GPUs.
    """

    cpus: int
    gpus: int


@dataclass(frozen=True)
class Devices:
    """What a cluster offers.

    Attributes:
        cpus: CPU cores.
        gpus: GPUs.
        memory: bytes of memory of one worker's device (a GPU's, or the machine's).
        nodes: its machines; one that has everything when none are given.
        grows: machines may be added on demand, so that nothing is too large for it.
        gpu_memory: bytes of one GPU; 0 where this process cannot see any.
    """

    cpus: int
    gpus: int
    memory: int
    nodes: tuple[Node, ...] = ()
    grows: bool = False
    gpu_memory: int = 0

    @property
    def machines(self) -> tuple[Node, ...]:
        """The nodes, at least one."""
        return self.nodes or (Node(self.cpus, self.gpus),)


def local_memory() -> int:
    """Return the bytes of memory that this machine, or its container, has for new processes."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError, StopIteration):
        # More than what is free: caches of files give way.
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = 1024 * next(int(line.split()[1]) for line in lines if "MemAvailable" in line)
    with contextlib.suppress(OSError, ValueError):  # no limit reads "max"
        free = min(free, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return free


def this_machine() -> Devices:
    """Return what a local Ray session has: the cores and GPUs that this process may use."""
    cpus = int(get_num_cpus(override_docker_cpu_warning=True))
    if hasattr(os, "sched_getaffinity"):  # a scheduler of a shared machine gives some cores only
        cpus = min(cpus, len(os.sched_getaffinity(0)))
    gpus = torch.cuda.device_count()
    return Devices(max(1, cpus), gpus, local_memory(), gpu_memory=gpu_memory())


def gpu_memory() -> int:
    """Return the bytes of this machine's first GPU; 0 without one."""
    if not torch.cuda.is_available():
        return 0
    return int(torch.cuda.get_device_properties(0).total_memory)
