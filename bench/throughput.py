"""Examples a second through packed workers, and how flat memory stays, where models cost nothing.

    python -m bench.throughput [--examples 100000] [--workers 2] [--pixels 8] [--batch 512]
        [--part-megabytes 4]

What is measured is everything but models: decoding, the loop, verdicts, rows, parts, the record and
compaction. One surrogate and one target, a linear map each, one step of I-FGSM. It says examples a
second until the last is done, and with compaction; microseconds of CPU an example by kind of
process; and the memory that a process has to itself (RssAnon), at most, between a tenth and three
tenths of the examples and in the last fifth. Parts are small, so that several were written by then.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from bench.processes import Reading, read
from gauntlet import Attack
from gauntlet.actors.own_modules import OwnModules
from gauntlet.actors.placement import lay_out
from gauntlet.actors.ray_engine import RayEngine
from gauntlet.actors.session import connect, disconnect
from gauntlet.pipeline.data.sources.npz import Npz
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.models.sources.permission import granted
from gauntlet.pipeline.progress import Silent
from gauntlet.pipeline.results.run_folder import RunFolder
from gauntlet.pipeline.run.plan import Plan, Resources, TaskSpec
from gauntlet.pipeline.run.runner import Runner
from gauntlet.pipeline.run.stream import STAGE

CLASSES = 10


def linear(pixels: int, seed: int) -> nn.Module:
    """Return a linear map of images: a factory for `import:` sources."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * pixels * pixels, CLASSES))


class Edges(Silent):
    """Reads the clocks at every twentieth of the examples."""

    def __init__(self, examples: int) -> None:
        self._wanted, self._done = [examples * part // 20 for part in range(1, 21)], 0
        self._lock = threading.Lock()
        self.readings: list[Reading] = []

    def advance(self, name: str, count: int) -> None:
        """Count examples."""
        if name == STAGE:
            with self._lock:
                self._done += count
                while self._wanted and self._done >= self._wanted[0]:
                    self._wanted.pop(0)
                    self.readings.append(read())


@dataclass(frozen=True)
class Throughput:
    """What a run gave.

    Attributes:
        rate: examples a second, from a tenth of them to their end.
        whole: examples a second of the whole run, compaction included.
        cpu: microseconds of CPU time an example, by kind of process.
        memory: most bytes early and late, by kind of process.
        files: in the finished run folder.
    """

    rate: float
    whole: float
    cpu: Mapping[str, float]
    memory: Mapping[str, tuple[int, int]]
    files: int


def measure(
    examples: int, workers: int, pixels: int, batch: int, part_megabytes: float
) -> Throughput:
    """Carry a run out on workers of this machine."""
    edges = Edges(examples)
    with tempfile.TemporaryDirectory(prefix="throughput-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        random = np.random.default_rng(0)
        images = random.integers(0, 256, (examples, pixels, pixels, 3), np.uint8)
        labels = random.integers(0, CLASSES, examples)
        np.savez(folder / "noise.npz", images=images, labels=labels)
        resources = Resources(
            placement="packed",
            workers=workers,
            batch=batch,
            threads=1,
            part_megabytes=part_megabytes,
        )
        plan = _plan(folder, pixels, resources)
        started = time.perf_counter()
        try:
            layout = lay_out(plan, connect(None), "packed", "throughput")
            engine = RayEngine(plan, layout, modules=OwnModules(granted()))
            outcome = Runner(plan, RunFolder(f"{folder}/run"), engine, edges).run()
        finally:
            disconnect()
        if outcome.units_failed or outcome.lost:
            raise SystemExit(f"units failed: {', '.join(outcome.lasting[:1])}")
        files = sum(path.is_file() for path in (folder / "run").rglob("*"))
    early, late = edges.readings[1:6], edges.readings[-5:]
    first, last = early[0], late[-1]
    counted = examples - examples // 10
    return Throughput(
        rate=counted / (last.at - first.at),
        whole=examples / (time.perf_counter() - started),
        cpu={kind: 1e6 * (last.cpu[kind] - first.cpu.get(kind, 0)) / counted for kind in last.cpu},
        memory={
            kind: (
                max(reading.memory.get(kind, 0) for reading in early),
                max(reading.memory.get(kind, 0) for reading in late),
            )
            for kind in last.memory
        },
        files=files,
    )


def _plan(folder: Path, pixels: int, resources: Resources) -> Plan:
    def model(name: str, seed: int) -> ModelSpec:
        options = {"pixels": pixels, "seed": seed}
        return ModelSpec(name=name, source="import:bench.throughput:linear", options=options)

    return Plan(
        name="throughput",
        task=TaskSpec(kind="classification", goal="untargeted"),
        root=folder,
        data=Npz(source="npz", path="noise.npz", classes=CLASSES),
        surrogates=(model("surrogate", 0),),
        targets=(model("target", 1),),
        attacks=(Attack(base="i", steps=1),),
        resources=resources,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, usual in (("examples", 100_000), ("workers", 2), ("pixels", 8), ("batch", 512)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    parser.add_argument("--part-megabytes", type=float, default=4)
    given = parser.parse_args()
    found = measure(**vars(given))
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {given.examples:,} examples")
    print(f"{found.rate:,.0f} examples/s; {found.whole:,.0f} with start and compaction")
    print(f"{found.files} files")
    for kind, taken in sorted(found.cpu.items(), key=lambda entry: -entry[1]):
        before, after = (size / 2**20 for size in found.memory[kind])
        print(f"{kind}: {taken:.1f} us CPU an example, {before:.0f} MiB -> {after:.0f} MiB")


if __name__ == "__main__":
    main()
