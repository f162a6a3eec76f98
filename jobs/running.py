"""`gauntlet.run`: a job of a notebook, carried out as the command does."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from typing import Any

from gauntlet.jobs.cli.bars import shown_on
from gauntlet.jobs.cli.ending import failed_units
from gauntlet.jobs.cli.folders import find_job
from gauntlet.jobs.cli.readiness import changed, ready
from gauntlet.jobs.reports.terminal import terminal
from gauntlet.jobs.spec.loading import LoadedJob, of_python, open_job
from gauntlet.jobs.spec.schema import Job
from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.progress import Progress, Silent
from gauntlet.pipeline.results.opened import Run, open_run
from gauntlet.pipeline.run.attempt import attempt
from gauntlet.pipeline.run.local import LocalEngine
from gauntlet.pipeline.run.stream import Outcome


def run(
    job: Job | Mapping[str, Any] | str | PathLike[str],
    out: str | PathLike[str] | None = None,
    placement: str | None = "in-process",
    *,
    allow_imports: Sequence[str] = (),
    progress: bool = True,
) -> Run:
    """Run a job: attack, evaluate, store; return its results.

    The folder is what ``gauntlet run`` writes: ``gauntlet report``, ``resume`` and ``verify`` take
    it, and what was interrupted is resumed by the command.

    Args:
        job: a `Job`, a mapping of its fields, the path of a job file, or a bundled job's name.
            Relative paths of the first two start in the working directory.
        out: the run's folder; by default one with the job's name and the time, below its `output`.
        placement: where the work is done. ``in-process`` takes this process alone, without Ray;
            ``packed``, ``pinned`` and ``auto`` start Ray here; None leaves it to the job.
        allow_imports: packages and folders from which `import:` sources may run code, beside the
            working directory.
        progress: show bars, or lines where there is no terminal.

    Raises:
        BadInput: with everything that is wrong with the job, and before any work is done; or when
            the folder holds a run already.
        Refused: when models lack classes of the examples.
    """
    change = changed((), placement)
    if isinstance(job, Job | Mapping):
        loaded = of_python(job, change, allow_imports)
    else:
        loaded = open_job(find_job(str(job)), change, allow_imports)
    folder, problems = ready(loaded, None if out is None else str(out), None)
    if problems:
        raise BadInput(problems)
    with _listening(progress) as told:
        told.note(f"run folder: {folder}")
        outcome = _carry_out(loaded, folder, told)
    if outcome.units_failed:
        warnings.warn("; ".join(failed_units(outcome, folder)), stacklevel=2)
    return open_run(folder)


def _carry_out(loaded: LoadedJob, folder: str, progress: Progress) -> Outcome:
    plan, permission = loaded.plan, loaded.permission
    if plan.resources.placement == "in-process":

        def engine(_: Progress) -> LocalEngine:
            return LocalEngine(plan, "asked for", permission, checked=True)

        return attempt(plan, folder, engine, progress=progress)
    from gauntlet.actors.launch import launch  # Ray is for those who ask for it

    return launch(plan, folder, progress=progress, permission=permission, checked=True)


@contextmanager
def _listening(shown: bool) -> Iterator[Progress]:
    if not shown:
        yield Silent()
        return
    with shown_on(terminal(stderr=True)) as progress:
        yield progress
