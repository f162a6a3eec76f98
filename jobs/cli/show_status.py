"""What `gauntlet status` does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from shlex import quote

from gauntlet.jobs.cli.durations import in_words
from gauntlet.jobs.cli.exit_status import Status
from gauntlet.jobs.cli.readable import reading
from gauntlet.jobs.reports.cost_words import cost_words
from gauntlet.jobs.reports.terminal import terminal
from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.results import records
from gauntlet.pipeline.results.records import check_run
from gauntlet.pipeline.results.run_folder import RunFolder
from gauntlet.pipeline.run.standing import Pace, Standing, standing


def show_status(location: str) -> int:
    """Print where the run in a folder stands; return how it ended, as far as it did."""
    check_run(location)
    with reading(location):
        found = standing(location)
    out = terminal()
    for label, text in _lines(found):
        out.print(f"{label + ':':9} {text}", soft_wrap=True)
    if found.complete and RunFolder(location).exists("manifest.json"):
        with suppress(BadInput, OSError):  # a manifest is only told
            for text in cost_words(records.manifest(RunFolder(location))):
                out.print(text, soft_wrap=True)
    if found.alive:
        return Status.DONE
    if found.driver is not None or found.left != 0:  # one that died may have left the end undone
        return Status.STOPPED
    return Status.DONE if found.complete else Status.INCOMPLETE


def _lines(run: Standing) -> Iterator[tuple[str, str]]:
    began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(run.begun)) if run.begun else "?"
    yield "run", f"{run.name}, begun {began}, version {run.version}"
    yield "driver", _driver(run)
    yield "units", _units(run)
    if run.attempts > 1:
        yield "attempt", f"{run.attempts}: {_pace(run.last)}{_left(run)}"
        yield "all", f"{run.attempts} attempts: {_pace(run.all)}"
    else:
        yield "attempt", f"1: {_pace(run.last)}{_left(run)}"
    if run.faults:
        number, what = next(iter(run.faults.items()))
        more = f", and {len(run.faults) - 1:,} more" if len(run.faults) > 1 else ""
        yield "record", f"entry {number:06d} {what}{more}; what it said is not counted above"
    if run.said:
        yield "log", run.said


def _driver(run: Standing) -> str:
    if run.alive:
        return f"{run.driver}, is at work"
    if run.complete and run.driver is None:
        return f"done: gauntlet report {quote(run.location)}"
    resume = f"go on with: gauntlet resume {quote(run.location)}"
    if run.driver is not None:
        return f"dead ({run.driver}); {resume}"
    return f"nobody is at work; {resume}"


def _units(run: Standing) -> str:
    if run.units is None:
        return "the examples are not chosen yet"
    failed = f", {run.failed:,} failed" if run.failed else ""
    return f"{run.done:,} of {run.units:,} done, {run.left:,} left{failed}"


def _pace(pace: Pace) -> str:
    text = f"{pace.units:,} units in {in_words(pace.seconds)}"
    rate = pace.a_second
    return text if rate is None else f"{text}, {60 * rate:,.1f} a minute"


def _left(run: Standing) -> str:
    seconds = run.seconds_left
    return "" if not run.left or seconds is None else f", {in_words(seconds)} left"
