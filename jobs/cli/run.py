"""`gauntlet run`."""

from __future__ import annotations

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
    Yes,
)


def run(
    job: JobFile,
    out: Out = None,
    changes: Changes = None,
    address: Address = None,
    placement: Placement = None,
    yes: Yes = False,
    strict: Strict = False,
    allow_imports: AllowImports = None,
    parts: Parts = None,
) -> None:
    """Run a job: attack, evaluate, store, and print the summary.

    Every model is first asked about 64 clean examples. One that is hardly right
    about any gets a warning with what would explain it, and on a terminal a
    question.

    \b
    gauntlet run quickstart
    gauntlet run cifar10 --set root=data --set select.limit=50
    gauntlet run job.yaml --placement packed --out runs/first
    gauntlet run job.yaml --address auto --set output=s3://bucket/runs

    Where nothing else is asked for, Ray is started for this run alone, whatever
    else runs on the machine; --address auto joins the cluster that is around.
    """
    from gauntlet.jobs.cli.run_job import run_job

    allowed = [*(allow_imports or []), *(parts or [])]
    end(run_job, job, out, changes or [], address, placement, yes, strict, allowed)
