"""The images that a command may train on, those included that the job attacks."""

from __future__ import annotations

from collections.abc import Sequence

from gauntlet.jobs.cli.folders import find_job
from gauntlet.jobs.spec.loading import open_job
from gauntlet.pipeline.batch import Goal, Task
from gauntlet.pipeline.data.examples import Examples, open_examples
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.run.plan import Plan


def open_everything(plan: Plan, other: str | None, allowed: Sequence[str]) -> Examples:
    """Return labelled images: all of a plan's own source, or those that another job names.

    Args:
        plan: whose attacks what is trained will serve.
        other: a job file, or the name of a bundled job, whose `data` to use instead.
        allowed: folders and packages that the other job's models may run code from, too.

    Raises:
        BadInput: when the other job cannot be read, or its images have no labels.
    """
    if other is None:
        root = plan.root
        data = plan.data.model_copy(update={"ids": None, "limit": None, "order": "file"})
    else:
        source = open_job(find_job(other), allowed=allowed).plan
        if source.task.kind is not Task.CLASSIFICATION:
            raise BadInput(Problem("--images", "the job's data has no labels"))
        root, data = source.root, source.data
    data = data.model_copy(update={"wanted": None, "references": None})
    return open_examples(data, Goal.UNTARGETED, root=root, seed=plan.seed)
