"""`gauntlet submit`."""

from __future__ import annotations

from typing import Annotated

import typer

from gauntlet.jobs.cli.exit_status import end
from gauntlet.jobs.cli.options import (
    AllowImports,
    Changes,
    Dashboard,
    JobFile,
    Out,
    Parts,
    Placement,
    Strict,
    Yes,
)

Follow = Annotated[
    bool,
    typer.Option("--follow", help="Show the run's output, and end with its exit status."),
]


def submit(
    job: JobFile,
    address: Dashboard,
    out: Out = None,
    changes: Changes = None,
    placement: Placement = None,
    yes: Yes = False,
    strict: Strict = False,
    allow_imports: AllowImports = None,
    parts: Parts = None,
    follow: Follow = False,
) -> None:
    """Let a Ray cluster do a job, and print the ID that it is known by there.

    The working folder goes along, without runs and environments, and with the
    folders of --allow-imports. Data that are too large for that have to be where
    every node reads them. The run's folder is named by --out or the job: a
    bucket, or an absolute path. The run goes on when this machine is gone; with
    --follow, Ctrl-C leaves it running.

    \b
    gauntlet submit job.yaml --address http://head:8265 --out s3://bucket/run
    gauntlet attach raysubmit_1234567890abcdef --address http://head:8265
    gauntlet status s3://bucket/run

    It takes what pip install 'gauntlet\\[cluster]' brings, here and there.
    """
    from gauntlet.jobs.cli.submit_job import submit_job

    allowed = [*(allow_imports or []), *(parts or [])]
    end(submit_job, job, address, out, changes or [], placement, yes, strict, allowed, follow)
