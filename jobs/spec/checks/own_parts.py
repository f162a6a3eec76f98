"""Parts of the person's own: whether they keep the laws of their place, before any work."""

from __future__ import annotations

from collections.abc import Iterator

from gauntlet.jobs.spec.checks.check import check
from gauntlet.jobs.spec.checks.parts import place
from gauntlet.jobs.spec.job_draft import JobDraft
from gauntlet.jobs.spec.wording import Complaint
from gauntlet.pipeline.attacks.part import Part, Place, is_own
from gauntlet.pipeline.laws import first_fault


@check()
def laws(job: JobDraft) -> Iterator[Complaint]:
    """Parts that return another shape, or NaN, or mix the examples of a batch."""
    asked: list[Part] = []
    for attack, draft in job.attacks:
        for part in attack.parts:
            if not is_own(type(part)) or part in asked:
                continue
            asked.append(part)
            if (fault := first_fault(part)) is not None:
                where = place(draft, part.token)
                if part.place is Place.COMBINE and where[-1:] == ("base",):
                    where = draft.locate(("combine",))
                yield Complaint(where, f"{fault.place}: {part.token!r}: {fault.law}: {fault.what}")
