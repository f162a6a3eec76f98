"""What it costs to read a finished run: reports, comparisons, pages, resume; each in a process.

python -m bench.reading [--rows 100000 1000000] [--shapes wide long steps]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

SHAPES = {"wide": (30, 20, 1), "long": (2, 5, 1), "steps": (4, 5, 10)}
"""Attacks, targets and judged steps; as many examples as it takes to have the rows."""


@dataclass(frozen=True)
class Cost:
    """What a process took, from its start to its end.

    Attributes:
        seconds: on the clock.
        cpu: seconds of CPU time.
        peak: most resident memory, MB.
    """

    seconds: float
    cpu: float
    peak: float


def cost(*arguments: str) -> Cost:
    """Return what `python -m ARGUMENTS` costs."""
    # Started by the program itself: a child begins with its parent's peak, so that this process
    # imports nothing large.
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        raise SystemExit(f"{' '.join(arguments)} failed")
    return Cost(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6)


def commands(run: str, other: str, folder: str, several_steps: bool) -> dict[str, list[str]]:
    """Return what is measured, by name."""
    steps = ["--steps"] if several_steps else []
    return {
        "report": ["report", run, "--targets", *steps],
        "--against": ["report", run, "--against", "i/ens/linf-8"],
        "--plots": ["report", run, "--plots", f"{folder}/plots"],
        "--html": ["report", run, "--html", f"{folder}/page.html"],
        "report A B": ["report", run, other],
        "resume": ["resume", run],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=[*SHAPES])
    parser.add_argument("--pixels", type=int, default=0, help="side of stored images")
    given = parser.parse_args()
    print(f"{'rows':>9}  {'shape':5}  {'command':10}  {'s':>6}  {'CPU s':>6}  {'peak MB':>7}")
    for rows in given.rows:
        for shape in given.shapes:
            attacks, targets, steps = SHAPES[shape]
            counts = {"attacks": attacks, "targets": targets, "steps": steps}
            counts["examples"] = max(1, rows // (attacks * targets * steps))
            options = [f"--{name}={count}" for name, count in counts.items()]
            with tempfile.TemporaryDirectory(prefix="reading-") as folder:
                run, other = f"{folder}/0", f"{folder}/1"
                for seed, place in enumerate((run, other)):
                    cost("bench.finished", place, *options, f"--seed={seed}",
                         f"--pixels={given.pixels}")  # fmt: skip
                for name, command in commands(run, other, folder, steps > 1).items():
                    found = cost("gauntlet", *command)
                    figures = f"{found.seconds:6.2f}  {found.cpu:6.2f}  {found.peak:7.0f}"
                    print(f"{rows:9,}  {shape:5}  {name:10}  {figures}", flush=True)


if __name__ == "__main__":
    main()
