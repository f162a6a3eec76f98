"""The data: whether they are there, and what the job says they are."""

from __future__ import annotations

from collections.abc import Iterator

from gauntlet.jobs.spec.checks.check import check
from gauntlet.jobs.spec.job_draft import JobDraft
from gauntlet.jobs.spec.job_problems import nested
from gauntlet.jobs.spec.wording import Complaint
from gauntlet.pipeline.batch import Task
from gauntlet.pipeline.data import examples
from gauntlet.pipeline.evaluation.false_accepts import pairs_needed
from gauntlet.pipeline.run.plan import FalseAccepts


@check("root", "task", "data")
def listed_examples(job: JobDraft) -> Iterator[Complaint]:
    """What is wrong with the examples, without decoding any."""
    found = examples.check(job.data, job.task.goal, job.root, seed=job.seed)
    return nested(lambda inner: ("data", *inner), found)


@check("root", "task")
def calibration(job: JobDraft) -> Iterator[Complaint]:
    """Calibration for another task; calibration pairs that are wrong, or too few for a rate."""
    if job.task.kind is not Task.VERIFICATION:
        for field in ("calibrate", "threshold"):
            if field in job.document.data:
                what = f"`{field}` belongs to verification; this task is {job.task.kind.value}"
                yield Complaint((field,), what)
        return
    if job.calibrate is not None:
        where, data = "calibrate", job.calibrate
        found = examples.check(data, job.task.goal, job.root, seed=job.seed)
        yield from nested(lambda inner: (where, *inner), found)
        if found:
            return
    elif isinstance(job.threshold, FalseAccepts) and job.has("data"):
        where, data = "data", job.data
        if examples.check(data, job.task.goal, job.root, seed=job.seed):
            return  # said of the data
    else:
        return
    pairs = examples.open_examples(data, job.task.goal, root=job.root, seed=job.seed).listing.pairs
    if pairs is None:
        yield Complaint((where, "source"), "has no labelled pairs to find a threshold on")
    elif isinstance(job.threshold, FalseAccepts):
        needed, there = pairs_needed(job.threshold.far), int((~pairs.same).sum())
        if there < needed:
            what = (
                f"a false-accept rate of {job.threshold.far:g} needs {needed:,} pairs of different "
                f"people or more, here are {there:,}"
            )
            yield Complaint(("threshold", "far"), what)
