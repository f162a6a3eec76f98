"""The data: whether they are there, and what the job says they are."""

from __future__ import annotations

from collections.abc import Iterator

from gauntlet.jobs.spec.checks.check import check
from gauntlet.jobs.spec.job_draft import JobDraft
from gauntlet.jobs.spec.job_problems import nested
from gauntlet.jobs.spec.wording import Complaint
from gauntlet.pipeline.batch import Task
from gauntlet.pipeline.data import examples
from gauntlet.pipeline.data.data_spec import DataSpec
from gauntlet.pipeline.data.listing import PairRows
from gauntlet.pipeline.evaluation.false_accepts import too_few
from gauntlet.pipeline.evaluation.threshold_rules import ALONE, FalseAccepts


@check("root", "task", "data")
def listed_examples(job: JobDraft) -> Iterator[Complaint]:
    """What is wrong with the examples, without decoding any."""
    found = examples.check(job.data, job.task.goal, job.root, seed=job.seed)
    return nested(lambda inner: ("data", *inner), found)


@check("root", "task")
def calibration(job: JobDraft) -> Iterator[Complaint]:
    """Calibration for another task; calibration pairs that are wrong."""
    if job.task.kind is not Task.VERIFICATION:
        for field in ("calibrate", "threshold"):
            if field in job.document.data:
                what = f"`{field}` belongs to verification; this task is {job.task.kind.value}"
                yield Complaint((field,), what)
    elif job.calibrate is not None:
        found = examples.check(job.calibrate, job.task.goal, job.root, seed=job.seed)
        yield from nested(lambda inner: ("calibrate", *inner), found)
        if not found and _pairs(job, job.calibrate) is None:
            yield Complaint(("calibrate", "source"), _NO_PAIRS)


@check("root", "task")
def enough_pairs(job: JobDraft) -> Iterator[Complaint]:
    """Rules that need pairs, where the data have none, or too few for a false-accept rate."""
    if job.task.kind is not Task.VERIFICATION or job.threshold == ALONE:
        return
    if job.calibrate is None and not job.has("data"):
        return
    where, data = ("data", job.data) if job.calibrate is None else ("calibrate", job.calibrate)
    if examples.check(data, job.task.goal, job.root, seed=job.seed):
        return  # said of the data
    pairs = _pairs(job, data)
    if pairs is None:
        if job.calibrate is None:  # else said by `calibration`
            yield Complaint((where, "source"), _NO_PAIRS)
        return
    for place, rule in enumerate(job.threshold):
        if not isinstance(rule, FalseAccepts):
            continue
        if why := too_few(rule.far, int((~pairs.same).sum())):
            inside = (place,) if isinstance(job.document.data.get("threshold"), list) else ()
            yield Complaint(("threshold", *inside, "far"), why)


_NO_PAIRS = "has no labelled pairs to find a threshold on"


def _pairs(job: JobDraft, data: DataSpec) -> PairRows | None:
    """Return the labelled pairs that a sound source lists."""
    found = examples.open_examples(data, job.task.goal, root=job.root, seed=job.seed)
    return found.listing.pairs
