"""A run on simulated devices: how much of their time does the engine use, and on what CPU time?

    python -m bench.devices [--k 5] [--ms 50] [--pixels 112] [--batch 8] [--targets 1]
        [--crews 1] [--hubs 2] [--in-flight 4]
    python -m bench.devices --table

A whole run on the Ray engine, RGEA-MI, from an archive of noise to tables in a temporary folder.
Each surrogate process and each target has a device of its own, on which a batch takes `ms` and no
CPU time (`bench.sleepers`). A crew is a set of the k surrogates: `replicas` of a pinned run, whose
every surrogate has a device; `workers` of a packed one, whose k surrogates share a device.

The bound is the time that the busiest device works, if it never waits. Of a unit (a batch, all its
steps) a pinned crew's devices take steps x ms each, a packed crew's device k times that, and crews
share the units; a target takes 2 x ms, for the clean and for the attacked images. With several
units in flight, one unit's loop, judging and writing can hide behind another's device time: the
share of the bound, bound / time taken, can come close to 1.

Time and CPU time are those of three windows of a run in full swing, of `units` units each: what
starts before, and what is left after them, is outside. Medians of the three. CPU time is in
milliseconds a step of a unit, all processes of a kind together: a surrogate's call is its k-th
part. It holds what a model itself takes, which is printed.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Literal

import numpy as np
import torch

from bench.processes import Reading, read
from bench.sleepers import CLASSES, sleeper
from gauntlet import Attack
from gauntlet.actors.own_modules import OwnModules
from gauntlet.actors.placement import lay_out
from gauntlet.actors.ray_engine import RayEngine
from gauntlet.actors.session import connect, disconnect
from gauntlet.pipeline.data.sources.npz import Npz
from gauntlet.pipeline.models.model import adapt
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.models.sources.permission import granted
from gauntlet.pipeline.progress import Silent
from gauntlet.pipeline.results.run_folder import RunFolder
from gauntlet.pipeline.run.plan import Plan, Resources, TaskSpec
from gauntlet.pipeline.run.runner import Runner
from gauntlet.pipeline.run.stream import STAGE

WINDOWS = 3
"""Measurements in a run."""
BUSY = 2.0
"""Load of the machine above which a figure is marked."""


@dataclass(frozen=True)
class Setting:
    """What is simulated.

    Attributes:
        k: surrogates.
        ms: device time a batch, in milliseconds, of surrogates and targets.
        pixels: height and width of the images.
        batch: examples in a unit.
        targets: how many, each with a device.
        crews: sets of the surrogates.
        placement: packed or pinned.
        hubs: processes that run the loops of a pinned run.
        in_flight: units a crew that are worked on at the same time.
        steps: updates of the attack.
        units: least number of units in a window.
    """

    k: int = 5
    ms: float = 50
    pixels: int = 112
    batch: int = 8
    targets: int = 1
    crews: int = 1
    placement: Literal["packed", "pinned"] = "pinned"
    hubs: int = 2
    in_flight: int = 4
    steps: int = 10
    units: int = 8

    @property
    def lanes(self) -> int:
        """Units in flight."""
        return self.in_flight * self.crews

    @property
    def window(self) -> int:
        """Units in a window: lanes that run in phase finish together, so whole rounds of them."""
        return -(-self.units // self.lanes) * self.lanes

    @property
    def examples(self) -> int:
        """Examples of a run: the windows, a round to warm up before and one to run dry after."""
        return self.batch * (WINDOWS * self.window + 2 * self.lanes)

    @property
    def bound(self) -> float:
        """Least seconds of a unit."""
        models = self.k if self.placement == "packed" else 1
        return max(self.steps * models / self.crews, 2) * self.ms / 1000

    def plan(self, folder: Path) -> Plan:
        """Return the run, on the archive that `write_noise` leaves in a folder."""
        pinned = {"replicas": self.crews, "hubs": self.hubs}
        crews = pinned if self.placement == "pinned" else {"workers": self.crews}
        return Plan(
            name="devices",
            task=TaskSpec(kind="classification", goal="untargeted"),
            root=folder,
            data=Npz(source="npz", path="noise.npz", classes=CLASSES),
            surrogates=tuple(self._model("surrogate", index) for index in range(self.k)),
            targets=tuple(self._model("target", self.k + index) for index in range(self.targets)),
            attacks=(Attack(base="mi", combine="rgea", steps=self.steps),),
            resources=Resources(
                placement=self.placement,
                batch=self.batch,
                in_flight=self.lanes,
                target_workers=self.targets,
                threads=1,
                **crews,
            ),
        )

    def write_noise(self, folder: Path) -> None:
        """Write the examples."""
        random = np.random.default_rng(0)
        shape = (self.examples, self.pixels, self.pixels, 3)
        images = random.integers(0, 256, shape, np.uint8)
        labels = random.integers(0, CLASSES, self.examples)
        np.savez(folder / "noise.npz", images=images, labels=labels)

    def _model(self, role: str, seed: int) -> ModelSpec:
        return ModelSpec(
            name=f"{role}-{seed}",
            source="import:bench.sleepers:sleeper",
            options={"milliseconds": self.ms, "seed": seed},
        )


ROWS = (
    Setting(pixels=32),
    Setting(),
    Setting(ms=20),
    Setting(batch=64),
    Setting(k=20),
    Setting(targets=20),
    Setting(crews=2),
    Setting(placement="packed", crews=2, units=4),
)
"""The settings that `--table` measures."""


class Windows(Silent):
    """Reads the clocks at the windows' edges, as units are done."""

    def __init__(self, setting: Setting) -> None:
        first, size = setting.lanes, setting.window
        self._edges = {(first + size * n) * setting.batch for n in range(WINDOWS + 1)}
        self._done = 0
        self._lock = threading.Lock()
        self.readings: list[Reading] = []

    def advance(self, name: str, count: int) -> None:
        """Count examples."""
        if name == STAGE:
            with self._lock:
                self._done += count
                if self._done in self._edges:
                    self.readings.append(read())


@dataclass(frozen=True)
class Measured:
    """What a run gave.

    Attributes:
        shares: of the bound, a window each.
        cpu: milliseconds of CPU time a step, by kind of process.
        count: processes of each kind.
        others: cores that everything else on the machine kept busy.
        load: of the machine, before and after.
    """

    shares: tuple[float, ...]
    cpu: dict[str, float]
    count: dict[str, int]
    others: float
    load: tuple[float, float]


def measure(setting: Setting) -> Measured:
    """Carry a run out, and return what its windows say."""
    before = os.getloadavg()[0]
    windows = Windows(setting)
    with tempfile.TemporaryDirectory(prefix="devices-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        setting.write_noise(folder)
        try:
            engine = simulated(setting.plan(folder))
            outcome = Runner(
                setting.plan(folder), RunFolder(f"{folder}/run"), engine, windows
            ).run()
        finally:
            disconnect()
    if outcome.units_failed or outcome.lost:
        raise SystemExit(f"units failed: {', '.join(outcome.lasting[:1])}")
    edges = windows.readings
    pairs = list(pairwise(edges))
    ours = [sum(end.cpu.values()) - sum(start.cpu.values()) for start, end in pairs]
    steps = setting.window * setting.steps
    return Measured(
        shares=tuple(setting.window * setting.bound / (end.at - start.at) for start, end in pairs),
        cpu={
            kind: median(1000 * (end.cpu[kind] - start.cpu.get(kind, 0.0)) for start, end in pairs)
            / steps
            for kind in edges[-1].cpu
        },
        count=dict(edges[-1].count),
        others=median(
            (end.machine - start.machine - own) / (end.at - start.at)
            for (start, end), own in zip(pairs, ours, strict=True)
        ),
        load=(before, os.getloadavg()[0]),
    )


def simulated(plan: Plan) -> RayEngine:
    """Start a session and, on it, the models, each process with a device that nobody else uses."""
    layout = lay_out(plan, connect(None), plan.resources.placement, "simulated devices")
    # On cores of their own, surrogates take turns; devices need none.
    return RayEngine(plan, replace(layout, calls=None), modules=OwnModules(granted()))


def model_itself(setting: Setting, calls: int = 200) -> float:
    """Return the CPU milliseconds that a surrogate's network takes for a batch by itself."""
    model = adapt(sleeper(1, 0))
    images = torch.rand(setting.batch, 3, setting.pixels, setting.pixels)
    taken = 0.0
    for call in range(calls + 1):
        started = time.process_time()
        leaf = images.detach().requires_grad_()
        torch.autograd.grad(model(leaf).sum(), leaf)
        taken += time.process_time() - started if call else 0.0
    return 1000 * taken / calls


COLUMNS = (
    "k", "ms", "px", "batch", "targets", "crews", "hubs", "placement", "share of the bound",
    "lowest to highest", "examples/s", "CPU ms a step (processes)", "model", "load",
    "others' cores",
)  # fmt: skip


def show(settings: Sequence[Setting]) -> None:
    """Measure settings, and print a line each as they come."""
    print(f"{os.cpu_count()} cores, medians of {WINDOWS}\n\n| {' | '.join(COLUMNS)} |")
    print("|---" * len(COLUMNS) + "|", flush=True)
    for setting in settings:
        print(f"| {' | '.join(line(setting, measure(setting)))} |", flush=True)


def line(setting: Setting, found: Measured) -> list[str]:
    """Return a setting and what it gave, column by column."""
    share = median(found.shares)
    cpu = ", ".join(
        f"{kind} {taken:.1f} ({found.count[kind]})"
        for kind, taken in sorted(found.cpu.items(), key=lambda entry: -entry[1])
    )
    loaded = " loaded" if max(found.load) > BUSY else ""
    return [
        *(str(value) for value in (setting.k, f"{setting.ms:g}", setting.pixels, setting.batch)),
        *(str(value) for value in (setting.targets, setting.crews)),
        str(setting.hubs) if setting.placement == "pinned" else "-",
        setting.placement,
        f"{share:.2f}{loaded}",
        f"{min(found.shares):.2f} to {max(found.shares):.2f}",
        f"{share * setting.batch / setting.bound:.1f}",
        cpu,
        f"{model_itself(setting):.2f}",
        f"{found.load[0]:.1f} to {found.load[1]:.1f}",
        f"{found.others:.1f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    usual = Setting()
    parser.add_argument("--table", action="store_true", help="measure the settings of the goals")
    for name in ("k", "pixels", "batch", "targets", "crews", "hubs", "in_flight", "steps", "units"):
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=int, default=getattr(usual, name))
    parser.add_argument("--ms", type=float, default=usual.ms)
    parser.add_argument("--placement", choices=("packed", "pinned"), default=usual.placement)
    given = vars(parser.parse_args())
    table = given.pop("table")
    show(ROWS if table else [replace(usual, **given)])


if __name__ == "__main__":
    main()
