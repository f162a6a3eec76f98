"""A run with nothing left to do: known from its record and files, without the plan or a model."""

from __future__ import annotations

from gauntlet.jobs.cli.exit_status import Status, say
from gauntlet.jobs.reports.frames import Figures
from gauntlet.jobs.reports.summary import print_report
from gauntlet.jobs.reports.terminal import terminal
from gauntlet.pipeline.results.reading import Reading


def finished(folder: str) -> Status | None:
    """Print the report of a run whose every file is as its record says; None if work is left.

    Raises:
        BadInput: when the run's manifest is damaged, or its record is of an unknown format.
    """
    reading = Reading(folder, whole=True)
    if (units := reading.units_of_complete) is None:
        return None
    say(f"nothing left to do: all {units} units are finished")
    print_report(Figures(reading), terminal())
    return Status.DONE
