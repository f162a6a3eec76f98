"""`gauntlet schema`."""

from __future__ import annotations

from gauntlet.jobs.cli.exit_status import Status, end


def schema() -> None:
    """Print the reference page of the job file, as Markdown.

    \b
    gauntlet schema > JOBS.md
    """
    end(_print)


def _print() -> int:
    from gauntlet.jobs.reference import job_page
    from gauntlet.jobs.reference.index import shipped

    print(job_page.markdown(shipped().sections), end="")
    return Status.DONE
