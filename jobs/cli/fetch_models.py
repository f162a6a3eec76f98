"""What `gauntlet models fetch` does."""

from __future__ import annotations

from collections.abc import Sequence

from gauntlet.jobs.cli.exit_status import Status
from gauntlet.jobs.cli.folders import find_job
from gauntlet.jobs.reference.to_fetch import line, missing_files
from gauntlet.jobs.reports.terminal import terminal
from gauntlet.jobs.spec.loading import open_job
from gauntlet.pipeline.models.wanted import fetch
from gauntlet.pipeline.problems import BadInput, Problem


def fetch_models(job: str, changes: Sequence[str]) -> int:
    """Download what has a direct address, one file after the other; then list what is left.

    One file that cannot be had keeps none of the others from being fetched.

    Raises:
        BadInput: with every file that is still missing, and why.
    """
    # Without checks: that files are missing is one of the things that they find.
    plan = open_job(find_job(job), changes, checks=()).plan
    console = terminal()
    files = missing_files(plan)
    if not files:
        console.print("every file of the models is here")
    left: list[Problem] = []
    for one in files:
        try:
            if one.missing.direct:
                console.print(line(one), soft_wrap=True)
            fetch(one.missing)
        except BadInput as error:
            left += error.problems
    if left:
        raise BadInput(left)
    return Status.DONE
