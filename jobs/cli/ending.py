"""What is said of a run that did not go to its end, and of units that failed."""

from __future__ import annotations

from contextlib import suppress
from shlex import quote

from gauntlet.pipeline.results import RunFolder
from gauntlet.pipeline.results.reading import units_of_complete
from gauntlet.pipeline.results.store_address import below
from gauntlet.pipeline.run.stream import Outcome

SHOWN_REASONS = 3
"""Failed units whose reasons are printed."""


def how_to_go_on(folder: str) -> str:
    """Return what can be done with a run that was ended; resuming only where there is a run."""
    if not begun(folder):
        return "nothing was kept: there is no run to resume"
    with suppress(OSError):
        if units_of_complete(folder) is not None:
            return f"the run is complete: gauntlet report {quote(folder)}"
    return f"go on with: gauntlet resume {quote(folder)}"


def begun(folder: str) -> bool:
    """Return whether a folder holds a run."""
    try:
        return RunFolder(folder).holds_run()
    except OSError:
        return True  # the storage may be what ended the run


def failed_units(outcome: Outcome, folder: str) -> list[str]:
    """Return lines on the units that failed: what to do, which depends on what failed them."""
    failed = f"{outcome.units_failed} units of work failed"
    if outcome.units_failed > len(outcome.lasting):
        return [f"{failed}; try them again with: gauntlet resume {quote(folder)}"]
    reasons = dict.fromkeys(in_short(reason) for reason in outcome.lasting)
    return [
        f"{failed}, and would fail again:",
        *(f"  {reason}" for reason in [*reasons][:SHOWN_REASONS]),
        f"every reason is in {below(folder, 'failures')}; its cause mended, gauntlet resume "
        f"{folder} tries a unit again",
    ]


def in_short(reason: str) -> str:
    """Return an error in a line: of one that crossed processes as a traceback, the last."""
    lines = reason.strip().splitlines() or [""]
    return lines[-1].strip()
