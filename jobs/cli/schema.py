"""`gauntlet schema`."""

from __future__ import annotations

from gauntlet.jobs.cli.exit_status import Status, end
from gauntlet.jobs.cli.options import AllowImports, Parts


def schema(parts: Parts = None, allow_imports: AllowImports = None) -> None:
    """Print the reference page of the job file, as Markdown.

    With the options of parts of your own, where --parts or --allow-imports name some.

    \b
    gauntlet schema > JOBS.md
    gauntlet schema --parts mine.py
    """
    end(_print, [*(parts or []), *(allow_imports or [])])


def _print(own: list[str]) -> int:
    from gauntlet.jobs.reference import job_page
    from gauntlet.jobs.reference.own_rows import sections

    print(job_page.markdown(sections(own)), end="")
    return Status.DONE
