"""Embedding match: what success is, and attacks that cannot begin."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from gauntlet.jobs.spec.checks.check import check
from gauntlet.jobs.spec.job_draft import JobDraft
from gauntlet.jobs.spec.job_problems import nested
from gauntlet.jobs.spec.wording import Complaint
from gauntlet.pipeline.attacks.part import Place
from gauntlet.pipeline.batch import Batch, Goal, Task
from gauntlet.pipeline.data import examples
from gauntlet.pipeline.data.gallery_images import open_gallery
from gauntlet.pipeline.problems import BadInput

HOW = "`success: {cosine: 0.8}`, or `success: {rank: 1, gallery: {source: images, root: ...}}`"


@check("task")
def rule(job: JobDraft) -> Iterator[Complaint]:
    """Embedding match without a rule, and a rule of another task."""
    given = job.document.data.get("success") is not None
    if job.task.kind is Task.EMBEDDING and not given:
        yield Complaint(("task",), f"embedding match needs to know what success is: {HOW}")
    if job.task.kind is not Task.EMBEDDING and given:
        what = f"`success` belongs to embedding match; this task is {job.task.kind.value}"
        yield Complaint(("success",), what)


@check("root", "task", "data")
def gallery(job: JobDraft) -> Iterator[Complaint]:
    """A gallery that is wrong, or too small for the rank."""
    success = job.success
    if success is None or success.gallery is None or success.rank is None:
        return
    if examples.check(job.data, job.task.goal, job.root, seed=job.seed):
        return  # said of the data
    attacked = examples.open_examples(job.data, job.task.goal, root=job.root, seed=job.seed)
    place = ("success", "gallery")
    try:
        found = open_gallery(success.gallery, attacked, root=job.root, seed=job.seed)
    except BadInput as error:
        yield from nested(lambda inner: (*place, *inner), error.problems)
        return
    if lack := found.lacks(success.rank):
        yield Complaint(place, lack)


@check("root", "task", "data")
def starts(job: JobDraft) -> Iterator[Complaint]:
    """Attacks that are to take an image away from itself, and begin there."""
    if job.task.kind is not Task.EMBEDDING or job.task.goal is not Goal.DODGING:
        return
    if not _from_itself(job):
        return
    black = torch.zeros(1, 3, 1, 1)
    own = Batch(("",), black, Goal.DODGING, references=black)
    for attack, draft in job.attacks:
        started = any(part.place is Place.START for part in attack.parts)
        if started or attack.foreign or attack.objection(Goal.DODGING):
            continue
        objective = attack.objective_for(Goal.DODGING)
        still = objective.stationary(own)
        if still is not None and still.all():
            what = (
                f"{objective.token!r} has no gradient at an image that is to be taken away from "
                "itself: add 'pgd' to the base"
            )
            yield Complaint(draft.locate(("base",)), what)


def _from_itself(job: JobDraft) -> bool:
    """Return whether every example is its own second image, by the list alone."""
    if examples.check(job.data, job.task.goal, job.root, seed=job.seed):
        return False
    attacked = examples.open_examples(job.data, job.task.goal, root=job.root, seed=job.seed)
    return bool((attacked.listing.first == attacked.listing.second).all())
