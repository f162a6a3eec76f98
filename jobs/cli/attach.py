"""`gauntlet attach`."""

from __future__ import annotations

from typing import Annotated

import typer

from gauntlet.jobs.cli.exit_status import end
from gauntlet.jobs.cli.options import Dashboard

Id = Annotated[
    str, typer.Argument(metavar="ID", help="Of a submitted job, as `gauntlet submit` printed it.")
]


def attach(job: Id, address: Dashboard) -> None:
    """Follow a submitted job: its output from the beginning, until it ends.

    The exit status is the job's. Ctrl-C leaves it running.

    \b
    gauntlet attach raysubmit_1234567890abcdef --address http://head:8265
    """
    from gauntlet.jobs.cli.submit_job import attach_job

    end(attach_job, job, address)
