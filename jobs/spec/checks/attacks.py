"""Each attack beside the rest of the job: its surrogates, the goal, the data, the precision."""

from __future__ import annotations

from collections.abc import Iterator

from gauntlet.jobs.spec.checks.check import check
from gauntlet.jobs.spec.job_draft import JobDraft
from gauntlet.jobs.spec.wording import Complaint
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.problems import suggest

TWICE = "differentiates a surrogate twice, which underflows in float16; use bfloat16 or float32"


@check()
def names_of_surrogates(job: JobDraft) -> Iterator[Complaint]:
    """Surrogates that do not exist, or are named twice."""
    # Unknown names are no news where the list of surrogates is itself wrong.
    known = sorted(m.name for m in job.models if m.role == "surrogates" and job.has("surrogates"))
    for attack, draft in job.attacks:
        names = attack.surrogates or ()
        for position, name in enumerate(names):
            place = draft.locate(("surrogates", position))
            if known and name not in known:
                yield Complaint(place, suggest(name, known, "surrogate"))
            elif name in names[:position]:
                yield Complaint(place, f"{name!r} is named twice")


@check()
def own_seeds(job: JobDraft) -> Iterator[Complaint]:
    """Attacks with a seed of their own."""
    for attack, draft in job.attacks:
        if attack.seed is not None:
            yield Complaint(draft.locate(("seed",)), "is for the whole job: write `seeds` there")


@check("task")
def goals(job: JobDraft) -> Iterator[Complaint]:
    """Attacks that do not exist for the goal."""
    goal = job.task.goal
    for attack, draft in job.attacks:
        if what := attack.objection(goal):
            own = attack.objective is not None and _exists_without_objective(attack, goal)
            yield Complaint(draft.locate(("objective" if own else "combine",)), what)


def _exists_without_objective(attack: Attack, goal: Goal) -> bool:
    """Whether the attack with the goal's own objective exists."""
    try:
        fields = attack.model_dump() | {"objective": None}
        fields["options"] = {k: v for k, v in attack.options.items() if k != attack.objective}
        return Attack.model_validate(fields).objection(goal) is None
    except ValueError:
        return False


@check("task", "data")
def references(job: JobDraft) -> Iterator[Complaint]:
    """Targeted attacks that need images of the wanted classes, which the data don't give."""
    goal = job.task.goal
    if goal is not Goal.TARGETED or job.data.has_references:
        return
    what = "needs an image of each wanted class: set `data.references: gallery`"
    for attack, draft in job.attacks:
        for part in attack.parts:
            if part.needs_references(goal):
                yield Complaint(draft.locate(("objective",)), f"{part.token!r} {what}")


@check()
def second_derivatives(job: JobDraft) -> Iterator[Complaint]:
    """Attacks that differentiate a surrogate twice while the surrogates are in float16."""
    if job.resources.dtype != "float16":
        return
    for attack, draft in job.attacks:
        if any(part.twice for part in attack.parts):
            yield Complaint(draft.locate(("base",)), f"{attack.base!r} {TWICE}")
