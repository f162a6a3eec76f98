"""`gauntlet calibrate`."""

from __future__ import annotations

from gauntlet.jobs.cli.exit_status import end
from gauntlet.jobs.cli.options import Address, AllowImports, Changes, JobFile, Parts, Placement


def calibrate(
    job: JobFile,
    changes: Changes = None,
    address: Address = None,
    placement: Placement = None,
    allow_imports: AllowImports = None,
    parts: Parts = None,
) -> None:
    """Find the thresholds of a job's targets by each of its rules, and how often they err at them.

    Prints threshold, false-accept rate, true-accept rate and equal error rate of
    each target, with 95 % intervals and the number of pairs. Where the pairs of
    different people are too few to fix a rate, it says how many are needed; a
    run is refused then. A threshold in a target's entry is measured on the
    pairs, too. Nothing is attacked; thresholds are kept for runs on the same
    pairs.

    \b
    gauntlet calibrate faces --set 'threshold=\\[accuracy, {far: 1e-2}]'
    gauntlet calibrate job.yaml --set 'threshold={far: 1e-3}'

    Not good enough are pairs that cannot fix a rate.
    """
    from gauntlet.jobs.cli.calibrate_job import calibrate_job

    allowed = [*(allow_imports or []), *(parts or [])]
    end(calibrate_job, job, changes or [], address, placement, allowed)
