"""`gauntlet resume`."""

from __future__ import annotations

from gauntlet.jobs.cli.options import Address, AllowImports, RunFolder, Strict, Yes
from gauntlet.jobs.cli.status import end


def resume(
    folder: RunFolder,
    address: Address = None,
    yes: Yes = False,
    strict: Strict = False,
    allow_imports: AllowImports = None,
) -> None:
    """Go on with an interrupted run, or try its failed units again.

    What is finished is skipped, and every row is there exactly once in the end.
    The job file is not read again: the run's folder holds the plan. Where its
    import: models may run code from is not in it: start in the same folder, or
    say --allow-imports again.

    \b
    gauntlet resume runs/quickstart-20260131-120000
    """
    from gauntlet.jobs.cli.run_job import resume_run

    end(resume_run, folder, address, yes, strict, allow_imports or [])
