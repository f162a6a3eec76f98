"""What `gauntlet data align` does."""

from __future__ import annotations

import os
from pathlib import Path

from gauntlet.jobs.cli.bars import shown_on
from gauntlet.jobs.cli.exit_status import Status
from gauntlet.jobs.reports.terminal import terminal
from gauntlet.pipeline.data.alignment.folder import MISSED, align_folder
from gauntlet.pipeline.data.alignment.template import SIZES


def align_faces(photographs: Path, out: Path, size: str, workers: int | None) -> int:
    """Align the faces of a folder, and say how many and which not.

    Args:
        photographs: the folder.
        out: takes the copies.
        size: one of `SIZES`.
        workers: number of processes; as many as this one may use CPUs by default.

    Returns:
        The exit status: incomplete when an image has no aligned copy.

    Raises:
        BadInput: as `align_folder`.
    """
    count = workers or _cpus()
    with shown_on(terminal(stderr=True)) as progress:
        found = align_folder(photographs, out, SIZES[size], count, progress)
    console = terminal(soft_wrap=True)
    console.print(f"{out}, {size.replace('x', ' x ')} (height x width): {found}")
    if found.missed:
        console.print(f"those not aligned are listed in {out / MISSED}")
    return Status.INCOMPLETE if found.missed else Status.DONE


def _cpus() -> int:
    if hasattr(os, "sched_getaffinity"):  # a scheduler of a shared machine gives some cores only
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
