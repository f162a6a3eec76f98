"""`gauntlet check`."""

from __future__ import annotations

from typing import Annotated

import typer

from gauntlet.jobs.cli.exit_status import end
from gauntlet.jobs.cli.options import (
    Address,
    AllowImports,
    Changes,
    JobFile,
    Out,
    Parts,
    Placement,
    Strict,
)


def check(
    job: JobFile,
    out: Out = None,
    changes: Changes = None,
    address: Address = None,
    placement: Placement = None,
    probe: Annotated[
        bool,
        typer.Option("--probe", help="Build the models, and ask them about 64 clean examples."),
    ] = False,
    strict: Strict = False,
    allow_imports: AllowImports = None,
    parts: Parts = None,
) -> None:
    """Say what a job would do, without running a model; or all that is wrong with it.

    Prints every attack with its budget, step size and normalisation, every model
    with its preprocessing and the file of yours that was run for it (an import:
    model), what was read of the data (examples, labels, classes, sizes, files
    left out; `gauntlet data look` draws them), and where the work would be done.
    Takes the options of `run` and refuses what it would refuse; what only running
    can tell is named. With --probe also how many clean examples each model is
    right about, and what would explain it if those are few: labels from 1, the
    channel order, 0..255, normalisation.

    \b
    gauntlet check quickstart
    gauntlet check faces --set root=data
    gauntlet check job.yaml --placement packed --out runs/first
    gauntlet check faces --probe
    """
    from gauntlet.jobs.cli.check_job import check_job

    allowed = [*(allow_imports or []), *(parts or [])]
    end(check_job, job, changes or [], out, address, placement, probe, strict, allowed)
