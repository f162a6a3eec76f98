"""From a job file to a plan, or to everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gauntlet.jobs.spec.checks.check import Check
from gauntlet.jobs.spec.checks.inspection import CHECKS, inspect
from gauntlet.jobs.spec.document import Document
from gauntlet.jobs.spec.job_draft import JobDraft
from gauntlet.jobs.spec.overrides import Override, apply
from gauntlet.jobs.spec.python_source import written
from gauntlet.jobs.spec.schema import Job
from gauntlet.jobs.spec.seeds import under_seeds
from gauntlet.jobs.spec.yaml_source import read
from gauntlet.pipeline.attacks import own_parts
from gauntlet.pipeline.attacks.own_parts import PartsSource
from gauntlet.pipeline.models.sources.permission import Permission
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.run.plan import Plan


@dataclass(frozen=True)
class LoadedJob:
    """A job without fault.

    Attributes:
        plan: what to run.
        permission: the code of the person's that the models' `import:` sources may run.
        output: folder, or address of an object store, for run folders.
        draft: what the plan was made from, for questions about places in the job.
    """

    plan: Plan
    permission: Permission
    output: str
    draft: JobDraft


def load(
    path: str | Path, overrides: Sequence[str | Override] = (), allowed: Sequence[str] = ()
) -> Plan:
    """Return the plan of a job file.

    Args:
        path: the file.
        overrides: changes such as ``resources.batch=16``.
        allowed: folders and packages from which `import:` sources may run code, beside the job's
            folder, the working directory and a `root` among the overrides.

    Raises:
        BadInput: with all problems of the job, each with file, line and field.
    """
    return open_job(path, overrides, allowed).plan


def open_job(
    path: str | Path,
    overrides: Sequence[str | Override] = (),
    allowed: Sequence[str] = (),
    checks: Iterable[Check] = CHECKS,
) -> LoadedJob:
    """Return a job's plan, what it may run and where its results go; see `load` and `expand`."""
    document = apply(read(Path(path)), _parsed(overrides))
    return expand(document, Path(path).parent, allowed, checks)


def of_python(
    job: Job | Mapping[str, Any],
    overrides: Sequence[str | Override] = (),
    allowed: Sequence[str] = (),
) -> LoadedJob:
    """Return what `open_job` does of a job that is no file; its paths start in the working folder.

    Raises:
        BadInput: with all problems of the job, each with its field.
    """
    return expand(apply(written(job), _parsed(overrides)), Path(), allowed)


def _parsed(overrides: Sequence[str | Override]) -> list[Override]:
    parsed: list[Override] = []
    problems: list[Problem] = []
    for override in overrides:
        try:
            parsed.append(Override.parse(override) if isinstance(override, str) else override)
        except BadInput as error:
            problems += error.problems
    if problems:
        raise BadInput(problems)
    return parsed


def expand(
    document: Document,
    folder: Path,
    allowed: Sequence[str] = (),
    checks: Iterable[Check] = CHECKS,
) -> LoadedJob:
    """Write a job out in full and check it.

    No model is run on the data; networks are made where an attack reaches inside them, and of other
    checkpoints only the headers are read.

    Args:
        document: the job.
        folder: where the job file lies; its `root` is relative to it.
        allowed: as of `load`.
        checks: what is asked of it.

    Raises:
        BadInput: with all problems.
    """
    job = JobDraft.of(document, folder, allowed)
    if problems := inspect(job, checks):
        raise BadInput(problems)
    surrogates = job.specs("surrogates")
    plan = Plan(
        name=job.name,
        task=job.task,
        root=job.root,
        data=job.data,
        calibrate=job.calibrate,
        threshold=job.threshold,
        success=job.success,
        select=job.select,
        surrogates=surrogates,
        targets=job.specs("targets"),
        parts=_parts(job),
        attacks=under_seeds([attack for attack, _ in job.attacks], surrogates, job.seeds),
        evaluate=job.evaluate,
        resources=job.resources,
        seed=job.seed,
    )
    return LoadedJob(plan, job.permission, job.output, job)


def _parts(job: JobDraft) -> tuple[PartsSource, ...]:
    """Return the sources of parts that a job names, and of others that its attacks use."""
    named = {source.path: source for source in job.parts}
    modules = {source.module for source in job.parts}
    used = own_parts.used(part for attack, _ in job.attacks for part in attack.parts)
    return (*named.values(), *(source for source in used if source.module not in modules))
