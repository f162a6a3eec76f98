"""What `evaluate` asks for: steps that no attack has, interactions that cannot be measured."""

from __future__ import annotations

from collections.abc import Iterator

from gauntlet.jobs.spec.checks.attacks import TWICE
from gauntlet.jobs.spec.checks.check import check
from gauntlet.jobs.spec.job_draft import JobDraft
from gauntlet.jobs.spec.wording import Complaint
from gauntlet.pipeline.interactions.utilities import resolve


@check()
def steps(job: JobDraft) -> Iterator[Complaint]:
    """Steps that no attack has."""
    asked = job.evaluate.steps
    longest = max((attack.steps for attack, _ in job.attacks), default=None)
    if isinstance(asked, str) or longest is None:
        return
    if beyond := [str(step) for step in asked if step > longest]:
        what = f"no attack has update {', '.join(beyond)}: the longest has {longest}"
        yield Complaint(("evaluate", "steps"), what)


@check("task")
def utility(job: JobDraft) -> Iterator[Complaint]:
    """A utility of the interactions that the goal does not have."""
    interactions, goal = job.evaluate.interactions, job.task.goal
    if interactions is None:
        return
    try:
        chosen = resolve(interactions.utility, goal)
    except ValueError as error:
        yield Complaint(("evaluate", "interactions", "utility"), str(error))
        return
    if interactions.closed_form and chosen != "loss":
        yield Complaint(
            ("evaluate", "interactions", "closed_form"),
            f"is the curvature of the loss; goal {goal.value!r} has utility {chosen!r}",
        )


@check()
def randomised_surrogates(job: JobDraft) -> Iterator[Complaint]:
    """Surrogates that do not answer alike twice, whose interactions are asked for."""
    if job.evaluate.interactions is None:
        return
    for model in job.models:
        defence = model.spec.defence if model.spec is not None else None
        if model.role == "surrogates" and defence is not None and defence.randomised:
            yield Complaint(
                model.draft.locate(("defence",)),
                f"{model.name!r} answers at random; interactions need the same answer to the same "
                "image",
            )


@check()
def second_derivatives(job: JobDraft) -> Iterator[Complaint]:
    """The closed form of interactions while the surrogates are in float16."""
    interactions = job.evaluate.interactions
    if job.resources.dtype == "float16" and interactions is not None and interactions.closed_form:
        yield Complaint(("evaluate", "interactions", "closed_form"), TWICE)
