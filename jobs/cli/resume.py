"""`gauntlet resume`."""

from __future__ import annotations

from typing import Annotated

import typer

from gauntlet.jobs.cli.exit_status import end
from gauntlet.jobs.cli.options import (
    Address,
    AllowImports,
    Parts,
    Placement,
    RunFolder,
    Strict,
    Yes,
)

Moved = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY.PATH=VALUE",
        help="Change where and how the rest is done: [b]resources.workers=2[/b], "
        "[b]root=/data[/b]. Repeatable.",
    ),
]


def resume(
    folder: RunFolder,
    changes: Moved = None,
    placement: Placement = None,
    address: Address = None,
    yes: Yes = False,
    strict: Strict = False,
    allow_imports: AllowImports = None,
    parts: Parts = None,
) -> None:
    """Go on with an interrupted run, or try its failed units again.

    What is finished is skipped, and every row is there exactly once in the end.
    The job file is not read again: the run's folder holds the plan. Where its
    import: models may run code from is not in it: start in the same folder, or
    say --allow-imports again.

    The folder is compared with the run's record first. Files that are missing or
    damaged are made anew, files that count for nothing are removed, and a plan
    that was edited is refused.

    \b
    gauntlet resume runs/quickstart-20260131-120000
    gauntlet resume runs/quickstart-20260131-120000 --placement in-process
    """
    from gauntlet.jobs.cli.resume_run import resume_run

    allowed = [*(allow_imports or []), *(parts or [])]
    end(resume_run, folder, changes or [], placement, address, yes, strict, allowed)
