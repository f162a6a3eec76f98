"""Whether the images can take the grids of cells that interactions are measured on."""

from __future__ import annotations

from collections.abc import Iterator

from gauntlet.jobs.spec.checks.check import check
from gauntlet.jobs.spec.checks.parts import place, queries
from gauntlet.jobs.spec.job_draft import JobDraft
from gauntlet.jobs.spec.wording import Complaint
from gauntlet.pipeline.interactions.cells import Grid


@check("task", "root", "data")
def cells(job: JobDraft) -> Iterator[Complaint]:
    """Grids of cells that are finer than the images, or that leave a rest where none may be.

    Nothing is wrong where the images' size is not known before they are decoded.
    """
    size = job.data.image_size(job.root)
    if size is None:
        return
    interactions = job.evaluate.interactions
    if interactions is not None:
        # Only single pairs of cells need every pixel in a cell.
        whole = bool(interactions.orders) or interactions.neighbours is not None
        if reason := _refusal(interactions.cells, size, whole):
            yield Complaint(("evaluate", "interactions", "grid"), reason)
    for attack, draft in job.attacks:
        for query in queries(attack, job.task.goal):
            penalty = query.penalty
            if penalty is None or penalty.cell_grid is None:
                continue
            if reason := _refusal(penalty.cell_grid, size):
                field = "grid" if "grid" in penalty.model_fields_set else None
                where = place(draft, penalty.token, field)
                yield Complaint(where, f"{penalty.token}: {reason}")


def _refusal(grid: Grid, size: tuple[int, int], whole: bool = False) -> str | None:
    """Return why a grid does not fit on images, or None; ``whole``: every pixel needs a cell."""
    try:
        grid.labels(*size, exact=whole and grid.borders == "floor")
    except ValueError as error:
        return str(error)
    return None
