"""What `gauntlet plan` takes for granted beside models: each constant, and what it is here.

python -m bench.overheads [--pixels 112] [--examples 2000]

Seconds are of CPU time where one process does the work, so that others on the machine change them
little; the start of a session is on the clock, and its CPU time beside it.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from bench.finished import finish, plan
from bench.networks import random_network
from gauntlet.actors import memory, outlook, overheads
from gauntlet.actors.session import connect, disconnect
from gauntlet.pipeline.progress import Silent
from gauntlet.pipeline.results import RunFolder
from gauntlet.pipeline.results.compaction import compact
from gauntlet.pipeline.results.record.chain import Record
from gauntlet.pipeline.run import pass_times

REPEATS = 5


def cpu(work: Callable[[], object]) -> float:
    """Return the seconds of CPU time that some work takes this process."""
    started = time.process_time()
    work()
    return time.process_time() - started


def writing(pixels: int, examples: int) -> tuple[float, float, float]:
    """Return bytes a second written in parts and compacted, and seconds a table beside."""
    with tempfile.TemporaryDirectory(prefix="overheads-") as name:
        large, small = Path(name, "large"), Path(name, "small")
        job = plan(Path("/data"), attacks=2, targets=2, steps=1)
        made = cpu(lambda: finish(large, job, examples, pixels, whole=False))
        drawn = cpu(lambda: finish(Path(name, "none"), job, examples, 0, whole=False))
        finish(small, job, 8, whole=False)
        content = _bytes(large)
        whole = cpu(lambda: _compact(large))
        few = cpu(lambda: _compact(small))
    return content / (made - drawn), content / (whole - few), few / 2


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*.parquet"))


def _compact(folder: Path) -> None:
    run = RunFolder(str(folder))
    record = Record.read(run)
    assert record is not None
    compact(run, record, Silent())


def forward_share() -> float:
    """Return the share of a surrogate's pass that a target's takes, without any gradient."""
    network = random_network(20).eval().requires_grad_(False)
    images = torch.rand(64, 3, 32, 32, requires_grad=True)

    def back() -> None:
        loss = nn.functional.cross_entropy(network(images), torch.zeros(64, dtype=torch.int64))
        torch.autograd.grad(loss, images)

    def forward() -> None:
        with torch.no_grad():
            network(images)

    for once in (forward, back):
        once()
    return statistics.median(cpu(forward) / cpu(back) for _ in range(REPEATS))


def session() -> tuple[float, float]:
    """Return the seconds until a local session of Ray stands, on the clock and of CPU time."""
    started, before = time.perf_counter(), _cpu_with_children()
    connect(None)
    seconds = time.perf_counter() - started
    disconnect()
    return seconds, _cpu_with_children() - before


def _cpu_with_children() -> float:
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pixels", type=int, default=112)
    parser.add_argument("--examples", type=int, default=2000)
    given = parser.parse_args()
    torch.set_num_threads(1)
    runtime = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    written, compacted, table = writing(given.pixels, given.examples)
    clock, used = session()
    print(f"{'':42} {'taken':>8}  {'here':>8}")
    for what, taken, here in (
        ("memory.RUNTIME, GiB: libraries loaded", memory.RUNTIME / 2**30, runtime / 2**30),
        ("outlook.WRITTEN, MB a second", outlook.WRITTEN / 1e6, written / 1e6),
        ("overheads.COMPACTED, MB a second", overheads.COMPACTED / 1e6, compacted / 1e6),
        ("overheads.TABLE, s", overheads.TABLE, table),
        ("pass_times.FORWARD, share of a pass", pass_times.FORWARD, forward_share()),
        (f"overheads.SESSION, s (CPU: {used:.1f})", overheads.SESSION, clock),
    ):
        print(f"{what:42} {taken:8.3g}  {here:8.3g}", flush=True)


if __name__ == "__main__":
    main()
