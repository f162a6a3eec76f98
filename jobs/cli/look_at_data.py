"""What `gauntlet data look` does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gauntlet.jobs.cli.folders import find_job
from gauntlet.jobs.reports.contact_sheet import draw, sheet_rows
from gauntlet.jobs.reports.terminal import terminal
from gauntlet.jobs.spec.loading import open_job
from gauntlet.pipeline.data.alignment.seen import look_for_faces
from gauntlet.pipeline.data.described import LOOKED_AT, described
from gauntlet.pipeline.data.examples import open_examples
from gauntlet.pipeline.problems import BadInput, Problem


def look(
    job: str,
    changes: Sequence[str],
    out: Path,
    rows: int,
    columns: int,
    faces: bool,
    allowed: Sequence[str] = (),
) -> int:
    """Draw a job's data and say what they are.

    Args:
        job: job file, or name of a bundled one.
        changes: overrides such as ``data.limit=300``.
        out: the .png file.
        rows: most rows.
        columns: most images in a row.
        faces: look for faces in the images, too.
        allowed: folders and packages that the job's models may run code from, too.

    Raises:
        BadInput: when the job is wrong, or the file cannot be written.
    """
    if out.suffix.lower() != ".png":
        raise BadInput(Problem("--out", f"{out}: expected a .png file"))
    plan = open_job(find_job(job), list(changes), allowed).plan
    examples = open_examples(plan.data, plan.task.goal, root=plan.root, seed=plan.seed)
    chosen, shows = sheet_rows(examples, rows, columns)
    sheet, broken = draw(chosen, examples.listing.store)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(out)
    except OSError as error:
        raise BadInput(Problem("--out", f"{out}: {error.strerror or error}")) from None
    lines = [f"data: {line}" for line in described(examples, plan.data.source)]
    lines.append(f"{out} shows {shows}")
    if broken:
        lines.append(f"not decoded: {len(broken)}, such as {broken[0]}")
    if faces:
        lines.append(f"faces: {look_for_faces(examples, LOOKED_AT)}")
    console = terminal(soft_wrap=True)
    for line in lines:
        console.print(line)
    return 0
