"""What `gauntlet resume` does."""

from __future__ import annotations

from collections.abc import Sequence

from gauntlet.jobs.cli.finished import finished
from gauntlet.jobs.cli.readable import reading
from gauntlet.jobs.reports.doubts import refuse_both
from gauntlet.pipeline.results.records import check_run


def resume_run(
    folder: str,
    changes: Sequence[str],
    placement: str | None,
    address: str | None,
    yes: bool,
    strict: bool,
    allowed: Sequence[str],
) -> int:
    """Go on with the run in a folder, whose plan does not say what code it may run."""
    refuse_both(yes, strict)
    with reading(folder):
        check_run(folder)
        if not (changes or placement or address) and (status := finished(folder)) is not None:
            return status
    # A plan takes torch, its placement Ray: seconds that a finished run need not cost.
    from gauntlet.jobs.cli.run_job import go_on

    return go_on(folder, changes, placement, address, yes, strict, allowed)
