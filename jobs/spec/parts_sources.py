"""The files and modules with parts of the person's own that a job, or its command, names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gauntlet.jobs.spec.document import Where
from gauntlet.jobs.spec.job_problems import JobProblems
from gauntlet.pipeline.attacks import own_parts
from gauntlet.pipeline.attacks.own_parts import PartsSource
from gauntlet.pipeline.models.sources.permission import Permission
from gauntlet.pipeline.problems import BadInput


def sound_parts(
    sections: Mapping[str, Any], permission: Permission, problems: JobProblems
) -> list[PartsSource]:
    """Load every source of parts, and report what is wrong with the others.

    Args:
        sections: the job's sound sections; nothing is read where its root is not one of them.
        permission: what may be run; files and packages in it are sources of parts, too.
        problems: collects what is wrong.
    """
    own_parts.only(())  # those of an earlier job
    if "root" not in sections:
        return []
    root: Path = sections["root"]
    named: list[tuple[Where, str]] = [
        (("parts", position), path) for position, path in enumerate(sections.get("parts", ()))
    ]
    named += [((), str(file)) for file in permission.files]
    named += [((), module) for module in own_parts.offered(permission)]
    sources: dict[str, PartsSource] = {}
    for where, path in named:
        try:
            source = PartsSource.read(path, root, permission)
            own_parts.only([*sources.values(), source])
            sources[source.path] = source
        except BadInput as error:
            for problem in error.problems:
                problems.add(where, str(problem))
    return [*sources.values()]
