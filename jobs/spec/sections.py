"""The top-level fields of a job, each validated by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError

from gauntlet.jobs.spec.document import Document
from gauntlet.jobs.spec.job_problems import JobProblems
from gauntlet.jobs.spec.schema import Job
from gauntlet.jobs.spec.wording import complaints, truth_values
from gauntlet.pipeline.files import escaped
from gauntlet.pipeline.problems import suggest


def sound_sections(document: Document, folder: Path, problems: JobProblems) -> dict[str, Any]:
    """Return the fields that are right, by name, and report what is wrong with the others.

    The default stands in for a wrong field, so that the rest of the job can be checked; a field
    without one is left out. `root` is the folder itself; it, too, is left out when it is wrong.

    Args:
        document: the job.
        folder: where its file lies, which `root` is relative to.
        problems: collects what is wrong.
    """
    for key in document.data.keys() - Job.model_fields.keys():
        problems.add((key,), suggest(key, sorted(Job.model_fields), "key"))
    sections: dict[str, Any] = {}
    for key, field in Job.model_fields.items():
        if not field.is_required():
            sections[key] = field.get_default(call_default_factory=True)
        if key not in document.data:
            if field.is_required():
                meaning = " ".join((field.description or "").split())
                problems.add((), f"`{key}` is missing; expected: {meaning}")
            continue
        kind: Any = Annotated[field.annotation, field]
        written = document.data[key]
        try:
            value = TypeAdapter(kind).validate_python(written)
            wrong = list(truth_values(value, written))
        except ValidationError as error:
            wrong = complaints(error, field.annotation, written)
        for complaint in wrong:
            problems.add((key, *complaint.where), complaint.what)
        if not wrong:
            sections[key] = value
        elif key == "root":
            del sections[key]
    if document.data.get("seeds") is not None and "seed" in document.data:
        problems.add(("seeds",), "stands in place of `seed`: leave one of them out")
    if "root" in sections:
        root = _folder(sections.pop("root"), document, folder, problems)
        sections |= {} if root is None else {"root": root}
    return sections


def _folder(root: Path, document: Document, folder: Path, problems: JobProblems) -> Path | None:
    start = Path() if ("root",) in document.overrides else folder
    try:
        found = (start / root.expanduser()).resolve()
    except (ValueError, RuntimeError, OSError) as error:
        problems.add(("root",), f"not a folder's name: {error}")
        return None
    if not found.is_dir():
        what = f"no folder {found}; data and checkpoints are looked for there"
        problems.add(("root",), f"{what}: say where they are with --set root=FOLDER")
        return None
    if (name := escaped(str(found))) != str(found):
        problems.add(("root",), f"the name of the folder {name} is not UTF-8: rename it")
        return None
    return found
