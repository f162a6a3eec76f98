"""`gauntlet verify`."""

from __future__ import annotations

from typing import Annotated

import typer

from gauntlet.jobs.cli.exit_status import end
from gauntlet.jobs.cli.options import AllowImports, Parts, RunFolder

Sample = Annotated[
    int,
    typer.Option(min=0, metavar="N", help="Compute this many units of work once more, too."),
]
Key = Annotated[
    int, typer.Option(metavar="K", help="Which units: another key draws another sample.")
]


def verify(
    folder: RunFolder,
    sample: Sample = 0,
    key: Key = 0,
    allow_imports: AllowImports = None,
    parts: Parts = None,
) -> None:
    """Say whether a run is what its record says: for a person, or for CI.

    The record is checked whole: every file's size and checksum, every page's,
    each entry, the plan, the chosen examples, the units of work, and that each
    chosen example x attack x target has its rows exactly once or is accounted
    for. An unfinished run is checked as far as it is. Nothing is written.

    A file that was made anew together with its record passes that. --sample
    computes units of work once more, in this process, from plan, data and models:
    images are compared by their bytes, everything else that was measured within a
    tolerance. The same key draws the same units. Where something differs, it says
    which software, devices or threads are others than the run's.

    Status 0: sound. 1: something is damaged, missing, twice, or differs. 2: there
    is no run, or its plan, models or data cannot be had here.

    \b
    gauntlet verify runs/quickstart-20260131-120000
    gauntlet verify runs/quickstart-20260131-120000 --sample 3
    """
    from gauntlet.jobs.cli.verify_run import verify_run

    end(verify_run, folder, sample, key, [*(allow_imports or []), *(parts or [])])
