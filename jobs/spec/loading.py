"""From a job file to a plan, or to everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError

from gauntlet.jobs.spec import attacks as grid
from gauntlet.jobs.spec import checks
from gauntlet.jobs.spec import models as model_entries
from gauntlet.jobs.spec import networks as fit
from gauntlet.jobs.spec.findings import Findings
from gauntlet.jobs.spec.overrides import Override, apply
from gauntlet.jobs.spec.schema import Job
from gauntlet.jobs.spec.wording import complaints, truth_values
from gauntlet.jobs.spec.yaml_source import Document, read
from gauntlet.pipeline.data import examples
from gauntlet.pipeline.files import escaped
from gauntlet.pipeline.models.sources.permission import Permission, granted
from gauntlet.pipeline.problems import BadInput, Problem, suggest
from gauntlet.pipeline.run.plan import Evaluate, Plan, Resources, Select, TaskSpec


@dataclass(frozen=True)
class LoadedJob:
    """A job without fault.

    Attributes:
        plan: what to run.
        permission: the code of the person's that the models' `import:` sources may run.
        output: folder, or address of an object store, for run folders.
        objectives: where the job says what each attack's objective is: file, line and field.
    """

    plan: Plan
    permission: Permission
    output: str
    objectives: tuple[str, ...]


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
    path: str | Path, overrides: Sequence[str | Override] = (), allowed: Sequence[str] = ()
) -> LoadedJob:
    """Return a job's plan, what it may run and where its results go; see `load`."""
    document = apply(read(Path(path)), _parsed(overrides))
    return expand(document, Path(path).parent, allowed)


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


def expand(document: Document, folder: Path, allowed: Sequence[str] = ()) -> LoadedJob:
    """Write a job out in full: names, derived models, grids, defaults.

    Every part is checked even where another one is wrong, so that a person sees all problems at
    once. No model is run on the data; networks are made where an attack reaches inside them, and
    of other checkpoints only the headers are read.

    Args:
        document: the job.
        folder: where the job file lies; its `root` is relative to it.
        allowed: as of `load`.

    Raises:
        BadInput: with all problems.
    """
    findings = Findings(document)
    sections = _sections(document.data, findings)
    root = _root(sections.get("root"), document, folder, findings)
    # A `root` that the job itself names is not trusted.
    trusted = root if ("root",) in document.overrides else None
    permission = granted(allowed, job=folder, root=trusted)
    task: TaskSpec | None = sections.get("task")
    if task is not None and not checks.check_task(task, findings):
        task = None
    # The raw lists: one wrong entry must not hide what is wrong with the others.
    models = model_entries.resolve(
        {role: document.data.get(role) for role in ("surrogates", "targets")}, findings
    )
    checks.check_model_fields(models, task.kind if task else None, findings)
    if root is not None:
        checks.check_models(models, root, task.kind if task else None, findings, permission)
        checks.check_white_box(models, root, findings)
        if task is not None and "data" in sections:
            seed = sections.get("seed", 0)
            found = examples.check(sections["data"], task.goal, root, seed=seed)
            findings.add_nested(lambda inner: ("data", *inner), found)
    attacks = grid.resolve(document.data.get("attacks"), findings)
    checks.check_attacks(attacks, models if "surrogates" in sections else (), task, findings)
    if task is not None and "data" in sections:
        checks.check_references(attacks, sections["data"], task.goal, findings)
    if "evaluate" in sections:
        checks.check_evaluate(sections["evaluate"], attacks, models, task, findings)
    if task is not None and root is not None:
        resources: Resources = sections.get("resources", Resources())
        checks.check_precision(resources, sections.get("evaluate", Evaluate()), attacks, findings)
        fit.check_fit(attacks, models, task, root, resources.fold, findings, permission)
        if "data" in sections:
            evaluate: Evaluate = sections.get("evaluate", Evaluate())
            fit.check_grids(
                attacks, evaluate.interactions, sections["data"], task.goal, root, findings
            )
    if "surrogates" in sections and "targets" in sections:
        checks.check_select(sections.get("select", Select()), models, findings)
    findings.raise_if_any()
    assert root is not None
    job = Job.model_validate(document.data)
    plan = Plan(
        name=job.name,
        task=job.task,
        root=root,
        data=job.data,
        select=job.select,
        **checks.by_role(models),
        attacks=tuple(attack for attack, _ in attacks),
        evaluate=job.evaluate,
        resources=job.resources,
        seed=job.seed,
    )
    places = (document.describe(draft.locate(("objective",))) for _, draft in attacks)
    return LoadedJob(plan, permission, job.output, tuple(places))


def _sections(data: Mapping[str, Any], findings: Findings) -> dict[str, Any]:
    """Validate each top-level field by itself; return those that are right."""
    sections: dict[str, Any] = {}
    for key in data.keys() - Job.model_fields.keys():
        findings.add((key,), suggest(key, sorted(Job.model_fields), "key"))
    for key, field in Job.model_fields.items():
        if key not in data:
            if field.is_required():
                meaning = " ".join((field.description or "").split())
                findings.add((), f"`{key}` is missing; expected: {meaning}")
            else:
                sections[key] = field.get_default(call_default_factory=True)
            continue
        kind: Any = Annotated[field.annotation, field]
        try:
            value = TypeAdapter(kind).validate_python(data[key])
            wrong = list(truth_values(value, data[key]))
        except ValidationError as error:
            wrong = complaints(error, field.annotation, data[key])
        for complaint in wrong:
            findings.add((key, *complaint.where), complaint.what)
        if not wrong:
            sections[key] = value
    return sections


def _root(root: Path | None, document: Document, folder: Path, findings: Findings) -> Path | None:
    if root is None:
        return None
    start = Path() if ("root",) in document.overrides else folder
    try:
        found = (start / root.expanduser()).resolve()
    except (ValueError, RuntimeError, OSError) as error:
        findings.add(("root",), f"not a folder's name: {error}")
        return None
    if not found.is_dir():
        findings.add(("root",), f"no folder {found}; data and checkpoints are looked for there")
        return None
    if (name := escaped(str(found))) != str(found):
        findings.add(("root",), f"the name of the folder {name} is not UTF-8: rename it")
        return None
    return found
