"""What every check of a job is like."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gauntlet.jobs.spec.job_draft import JobDraft, Section
from gauntlet.jobs.spec.wording import Complaint

Find = Callable[[JobDraft], Iterable[Complaint]]


@dataclass(frozen=True)
class Check:
    """One question about a job.

    Attributes:
        find: yields what is wrong, each at its place in the job.
        needs: what must be sound for the question to make sense; what is wrong with these has been
            reported, and the check is left out.
    """

    find: Find
    needs: tuple[Section, ...] = ()

    def __call__(self, job: JobDraft) -> Iterable[Complaint]:
        """Return what is wrong with a job; nothing where it is too wrong to tell."""
        return self.find(job) if job.has(*self.needs) else ()


def check(*needs: Section) -> Callable[[Find], Check]:
    """Make a check of a function, which then belongs to its file's subject."""
    return lambda find: Check(find, needs)
