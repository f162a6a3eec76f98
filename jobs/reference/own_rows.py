"""The rows of the reference with those of the person's own parts, for commands that name some."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import entry_points

from gauntlet.jobs.reference.index import MethodRow, Section, shipped

GROUP = "gauntlet.parts"
"""As in `gauntlet.pipeline.attacks.own_parts`, which takes torch."""


def rows(own: Sequence[str]) -> tuple[MethodRow, ...]:
    """Return all methods, with the parts of files and packages that a person named."""
    if not own:
        return shipped().methods
    _load(own)
    from gauntlet.jobs.reference import method_rows

    return tuple(method_rows.rows())


def sections(own: Sequence[str]) -> tuple[Section, ...]:
    """Return the job file's mappings, with the options of such parts."""
    if not own:
        return shipped().sections
    _load(own)
    from gauntlet.jobs.reference import job_sections

    return tuple(job_sections.sections())


def offers() -> list[str]:
    """Return a line about each installed package with parts, of which nothing is run."""
    return [
        f"{entry.name}: in {entry.dist.name if entry.dist else entry.module}, which is installed; "
        f"shown and used with --allow-imports {entry.module.partition('.')[0]}"
        for entry in entry_points(group=GROUP)
    ]


def _load(own: Sequence[str]) -> None:
    from gauntlet.pipeline.attacks.own_parts import load_parts

    for source in own:
        load_parts(source)
