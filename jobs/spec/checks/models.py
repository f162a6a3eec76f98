"""Each model by itself: fields that nobody would read, and what its source says of it."""

from __future__ import annotations

from collections.abc import Iterator

from gauntlet.jobs.spec.checks.check import check
from gauntlet.jobs.spec.job_draft import JobDraft
from gauntlet.jobs.spec.job_problems import nested
from gauntlet.jobs.spec.wording import Complaint
from gauntlet.pipeline.batch import Task

MOST_NETWORKS = 200
"""Different networks of a job; each is looked at once."""
_TARGETS_ONLY = ("group", "repeats", "white_box")


@check()
def fields_of_targets(job: JobDraft) -> Iterator[Complaint]:
    """Fields of surrogates that belong to targets."""
    for model in job.models:
        for field in _TARGETS_ONLY:
            if model.role == "surrogates" and field in model.draft.fields:
                where = model.draft.locate((field,))
                yield Complaint(where, f"`{field}` belongs to targets, not to surrogates")


@check("task")
def thresholds(job: JobDraft) -> Iterator[Complaint]:
    """Thresholds for another task."""
    for model in job.models:
        if job.task.kind is not Task.VERIFICATION and "threshold" in model.draft.fields:
            what = f"`threshold` belongs to verification; this task is {job.task.kind.value}"
            yield Complaint(model.draft.locate(("threshold",)), what)


@check()
def fields_of_defences(job: JobDraft) -> Iterator[Complaint]:
    """Fields of a defence that belong to another one."""
    for model in job.models:
        defence = model.spec.defence if model.spec is not None else None
        if defence is not None:
            known = type(defence).model_fields.keys()
            for field in sorted(model.draft.fields["defence"].keys() - known):
                what = f"{defence.kind} does not use `{field}`; known: {', '.join(sorted(known))}"
                yield Complaint(model.draft.locate(("defence", field)), what)


@check("root")
def specifications(job: JobDraft) -> Iterator[Complaint]:
    """What is wrong with each model by itself."""
    for model in job.models:
        if model.spec is None:
            continue
        if job.networks_seen > MOST_NETWORKS:
            what = f"more than {MOST_NETWORKS} different networks; make several jobs of this one"
            yield Complaint(model.draft.home, what)
            return
        yield from nested(model.draft.locate, job.wrong_with(model))
