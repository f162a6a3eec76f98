"""The data: whether they are there, and what the job says they are."""

from __future__ import annotations

from collections.abc import Iterator

from gauntlet.jobs.spec.checks.check import check
from gauntlet.jobs.spec.job_draft import JobDraft
from gauntlet.jobs.spec.job_problems import nested
from gauntlet.jobs.spec.wording import Complaint
from gauntlet.pipeline.data import examples


@check("root", "task", "data")
def listed_examples(job: JobDraft) -> Iterator[Complaint]:
    """What is wrong with the examples, without decoding any."""
    found = examples.check(job.data, job.task.goal, job.root, seed=job.seed)
    return nested(lambda inner: ("data", *inner), found)
