"""Attacks of others: whether their library is here, and whether images are of these examples."""

from __future__ import annotations

from collections.abc import Iterator

from gauntlet.jobs.spec.checks.check import check
from gauntlet.jobs.spec.job_draft import JobDraft
from gauntlet.jobs.spec.job_problems import nested
from gauntlet.jobs.spec.wording import Complaint
from gauntlet.pipeline.data.examples import open_examples
from gauntlet.pipeline.foreign import finished, libraries
from gauntlet.pipeline.problems import BadInput


@check("task", "root")
def sources(job: JobDraft) -> Iterator[Complaint]:
    """Attacks that are not installed, do not exist, do not take their options or surrogates."""
    at_random = [
        model.name
        for model in job.models
        if model.role == "surrogates"
        and model.spec is not None
        and model.spec.defence is not None
        and model.spec.defence.randomised
    ]
    for attack, draft in job.attacks:
        if attack.source is None:
            continue
        found = libraries.problems(attack, job.task.goal, job.root, job.permission)
        yield from nested(draft.locate, found)
        if job.resources.placement == "pinned":
            what = "needs its surrogates in one process: placement packed, or in-process"
            yield Complaint(draft.locate(("source",)), what)
        for name in at_random:
            if attack.surrogates is None or name in attack.surrogates:
                what = f"{name!r} answers at random, by draws that only attacks of parts hand it"
                yield Complaint(draft.locate(("source",)), what)


@check("task", "root", "data")
def images(job: JobDraft) -> Iterator[Complaint]:
    """Finished images that are of other examples, or of few of them."""
    if all(attack.images is None for attack, _ in job.attacks):
        return
    try:
        examples = open_examples(job.data, job.task.goal, root=job.root, seed=job.seed)
    except BadInput:
        return  # said by the check of the data
    for attack, draft in job.attacks:
        if attack.images is not None:
            found = finished.problems(attack.images, job.root, examples.ids, job.select.limit)
            yield from nested(draft.locate, found)
