"""All checks of a job in their order, and the loop that asks them."""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType

from gauntlet.jobs.spec.checks import (
    attacks,
    data,
    evaluate,
    foreign,
    grids,
    heads,
    models,
    networks,
    own_parts,
    select,
    success,
    white_box,
)
from gauntlet.jobs.spec.checks.check import Check
from gauntlet.jobs.spec.job_draft import JobDraft
from gauntlet.pipeline.problems import Problem


def _of(*subjects: ModuleType) -> tuple[Check, ...]:
    """Return the checks of some subjects, those of one subject as they stand in its file."""
    return tuple(c for subject in subjects for c in vars(subject).values() if isinstance(c, Check))


CHECKS = _of(
    *(models, white_box, data, success, attacks, own_parts, foreign),
    *(evaluate, networks, grids, select),
)
"""What is asked of every job."""
CALIBRATING = tuple(check for check in CHECKS if check is not data.enough_pairs)
"""What is asked of a job whose thresholds are looked at: whether its pairs can fix a rate is what
is to be found out."""
WITHOUT_MODELS = _of(data, success, attacks, evaluate, select)
"""What can be asked where the models' weights need not be: nothing here looks into a network."""
BEFORE_A_RUN = _of(heads)
"""What a job without fault may lack until it is run; there are commands that provide it."""


def inspect(job: JobDraft, checks: Iterable[Check] = CHECKS) -> list[Problem]:
    """Return everything that is wrong with a job, what was known before included.

    Every check whose needs are met is asked, so that a person sees all problems at once.

    Args:
        job: collects the problems, too.
        checks: what to ask.

    Raises:
        BadInput: when there are so many problems that looking for more helps nobody.
    """
    for check in checks:
        for complaint in check(job):
            job.problems.add(complaint.where, complaint.what)
    return job.problems.in_order
