"""Which examples are attacked."""

from __future__ import annotations

from collections.abc import Iterator

from gauntlet.jobs.spec.checks.check import check
from gauntlet.jobs.spec.job_draft import JobDraft
from gauntlet.jobs.spec.wording import Complaint
from gauntlet.pipeline.problems import suggest

GROUPS = ("surrogates", "targets", "all")
"""Words of `select.correct` that stand for several models."""


@check("surrogates", "targets")
def names_of_models(job: JobDraft) -> Iterator[Complaint]:
    """Names in `select.correct` that no model has."""
    correct = job.select.correct
    if correct is None or isinstance(correct, str):
        return
    names = sorted(model.name for model in job.models)
    known = set(names)
    if not correct:
        what = f"expected names of models: {', '.join(names)}"
        yield Complaint(("select", "correct"), what)
    # A name by itself may have been meant for a group of models.
    words = [*GROUPS, *names] if len(correct) == 1 else names
    for position, name in enumerate(correct):
        if name not in known:
            yield Complaint(("select", "correct", position), suggest(name, words, "model"))
