"""A long run with a fault every few seconds, and what its processes take meanwhile.

`python -m tests.faults.soak FILE.csv ...` draws the curves into docs/soak.png.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pandas as pd

from tests.faults.case import Case
from tests.faults.gates import Sickness
from tests.faults.processes import Process
from tests.faults.warm import REPOSITORY

EVERY = 5.0
"""Seconds between two samples."""
PAUSES = (3.0, 8.0)
"""Between two faults, at least and at most, in seconds."""
CARRIERS = ("PackedWorker", "Hub")
SLACK = {"rss_mb": 40.0, "handles": 20.0, "threads": 10.0, "processes": 3.0, "shared_mb": 16.0}
"""What a figure may be larger by at the end, beside a tenth of what it was."""


def status_of(pid: int) -> dict[str, float]:
    """Return what a process takes; empty if it is gone.

    Returns:
        Resident memory and that of it which is shared (MB), open handles, threads.
    """
    with suppress(OSError, KeyError):  # one that has just ended takes nothing
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        says = dict(line.split(":\t", 1) for line in lines)
        return {
            "rss_mb": int(says["VmRSS"].split()[0]) / 1024,
            "shared_mb": int(says["RssShmem"].split()[0]) / 1024,
            "threads": float(says["Threads"]),
            "handles": float(len(os.listdir(f"/proc/{pid}/fd"))),
        }
    return {}


def sample(case: Case, began: float, faults: int) -> Iterator[dict[str, object]]:
    """Yield a row for the driver and one for the largest of each figure among the carriers."""
    ours = case.living()
    carriers = [found for found in ours if found.name in CARRIERS]
    assert case.command is not None
    for who, among in (("driver", [Process(case.command.pid, "driver")]), ("carriers", carriers)):
        if figures := [figure for found in among if (figure := status_of(found.pid))]:
            largest = {name: max(figure[name] for figure in figures) for name in figures[0]}
            seconds = round(time.time() - began, 1)
            at = {"seconds": seconds, "who": who, "faults": faults}
            yield {**at, "processes": float(len(ours)), **largest}


def disturb(case: Case) -> str:
    """Do something to a worker, and say what: it stops for a second, raises, or is killed."""
    what = case.draws.choices(["stopped", "raises", "killed"], [6, 3, 1])[0]
    kinds = (*CARRIERS, "SurrogateActor", "TargetWorker")
    workers = [found for found in case.living() if found.name in kinds]
    if not workers:
        return "nobody"
    worker = case.draws.choice(workers)
    with suppress(ProcessLookupError):
        if what == "killed":
            os.kill(worker.pid, signal.SIGKILL)
        elif what == "stopped":
            os.kill(worker.pid, signal.SIGSTOP)
            time.sleep(1)
            os.kill(worker.pid, signal.SIGCONT)
        else:
            case.gates.infect(Sickness("raises", 0, "one"))
            time.sleep(0.1)
            case.gates.heal()
    return what


def soak(case: Case) -> tuple[pd.DataFrame, dict[str, int]]:
    """Run the case's job with faults until it ends; return the samples, and what was done."""
    command, began = case.begin(), time.time()
    rows: list[dict[str, object]] = []
    done: dict[str, int] = {}
    sampled = disturbed = time.time()
    while not command.ended:
        time.sleep(0.2)
        if time.time() >= sampled:
            rows += sample(case, began, sum(done.values()))
            sampled += EVERY
        if time.time() >= disturbed and case.has_begun():
            what = disturb(case)
            done[what] = done.get(what, 0) + 1
            disturbed = time.time() + case.draws.uniform(*PAUSES)
    return pd.DataFrame(rows), done


def grown(samples: pd.DataFrame) -> list[str]:
    """Return the figures that are larger in the last quarter than in the second."""
    found = []
    for who, of in samples.groupby("who"):
        quarter = of["seconds"].max() / 4
        for figure, slack in SLACK.items():
            before = of[of["seconds"].between(quarter, 2 * quarter)][figure].median()
            after = of[of["seconds"] >= 3 * quarter][figure].median()
            if not after <= 1.1 * before + slack:
                found.append(f"{who}: {figure} {before:.0f} -> {after:.0f}")
    return found


def draw(files: Sequence[Path], picture: Path = REPOSITORY / "docs" / "soak.png") -> None:
    """Draw the samples of files, a row of curves each."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    size = (3 * len(SLACK), 2.6 * len(files))
    figure, rows = pyplot.subplots(len(files), len(SLACK), figsize=size, squeeze=False)
    for file, axes in zip(files, rows, strict=True):
        samples = pd.read_csv(file)
        for axis, name in zip(axes, SLACK, strict=True):
            for who, of in samples.groupby("who"):
                axis.plot(of["seconds"] / 60, of[name], label=who, linewidth=1)
            axis.set(title=name, xlabel="minutes", ylim=(0, None))
        axes[0].set_ylabel(samples["placement"].iloc[0])
    rows[0][0].legend(frameon=False)
    figure.tight_layout()
    figure.savefig(picture, dpi=110)


if __name__ == "__main__":
    draw([Path(name) for name in sys.argv[1:]])
