"""`gauntlet status`."""

from __future__ import annotations

from gauntlet.jobs.cli.exit_status import end
from gauntlet.jobs.cli.options import RunFolder


def status(folder: RunFolder) -> None:
    """Say how far a run is: done, left, failed, units a minute, time left.

    It is read from the run's folder, wherever that is: from another machine,
    while the run goes on, and when its driver has died, which it says, with the
    command that goes on. The exit status is that of the run: 0 while it goes on
    or when it is done, 1 with failed units, 3 when it stands still.

    \b
    gauntlet status runs/quickstart-20260131-120000
    gauntlet status s3://bucket/runs/first
    """
    from gauntlet.jobs.cli.show_status import show_status

    end(show_status, folder)
