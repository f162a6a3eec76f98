"""What `gauntlet verify` does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from shlex import quote

from gauntlet.jobs.cli.bars import shown_on
from gauntlet.jobs.cli.exit_status import SHOWN_PROBLEMS, Status
from gauntlet.jobs.cli.readable import reading
from gauntlet.jobs.reports.grid import figures, names, texts
from gauntlet.jobs.reports.tables import print_table
from gauntlet.jobs.reports.terminal import Terminal, terminal
from gauntlet.pipeline.models.sources.permission import granted
from gauntlet.pipeline.problems import Problem
from gauntlet.pipeline.results import RunFolder
from gauntlet.pipeline.results.records import check_run
from gauntlet.pipeline.run.verifying.checking import FILES, RECORD, UNITS, Checked, check
from gauntlet.pipeline.run.verifying.circumstances import NONE, WHY
from gauntlet.pipeline.run.verifying.sampling import Recomputed, recompute


def verify_run(location: str, sample: int, key: int, allowed: Sequence[str]) -> int:
    """Check the run in a folder and print what was found."""
    check_run(location)
    permission, folder, out = granted(allowed), RunFolder(location), terminal()
    with shown_on(terminal(stderr=True)) as progress, reading(location):
        found = check(folder, progress, permission)
    _print(out, found)
    differs = False
    if sample and found.sound:
        with shown_on(terminal(stderr=True)) as progress, reading(location):
            again = recompute(folder, found.sound, sample, key, permission, progress)
        _print_again(out, again)
        differs = bool(again.faults)
    return Status.INCOMPLETE if found.problems or differs else Status.DONE


def _print(out: Terminal, found: Checked) -> None:
    """Print what of the record was checked, and what was found."""
    size = f"{found.files:,} files, {found.bytes / 2**20:,.1f} MB"
    planned = "?" if found.planned is None else f"{found.planned:,}"
    counted = {
        RECORD: "plan, choice, entries",
        FILES: f"{size}: checksums",
        UNITS: f"{found.done:,} of {planned} done",
        **{table: f"{rows:,} rows" for table, rows in found.rows.items() if rows},
    }
    columns = [*names("checked"), *texts("counted", "found")]
    rows = [
        (what, counted.get(what, ""), _verdict(len(found.faults.get(what, ()))))
        for what in dict.fromkeys([*counted, *found.faults])
    ]
    print_table(out, f"Record of {found.location}", columns, rows)
    _print_faults(out, found.problems)
    for line in _standing(found):
        out.print(line, soft_wrap=True)


def _standing(found: Checked) -> Iterator[str]:
    """Yield what a person should know of a run that is not finished, or was not read to its end."""
    if found.running:
        yield "a driver is at work on it: this is how it was a moment ago"
    if found.planned is None:
        yield "its rows were not compared with units: what is wrong above comes first"
    elif left := found.planned - found.done:
        failed = f" ({found.failed:,} failed)" if found.failed else ""
        what = f"unfinished: {left:,} of {found.planned:,} units are left{failed}"
        yield f"{what}; `gauntlet resume {quote(found.location)}` does them"
    if found.problems and not found.running:
        yield found.fatal or f"`gauntlet resume {quote(found.location)}` mends what was damaged"


def _print_again(out: Terminal, again: Recomputed) -> None:
    """Print the units that were computed once more, and what differs."""
    columns = [*names("unit", "attack"), *figures("examples", "images", "changed", "largest"),
               *texts("found")]  # fmt: skip
    rows = [
        (
            unit.unit,
            unit.attack,
            f"{unit.examples:,}",
            f"{unit.images:,}",
            f"{unit.changed:,}",
            f"{unit.largest:.2g}",
            "the same" if not unit.faults else "differs",
        )
        for unit in again.units
    ]
    print_table(out, f"{len(rows):,} of {again.of:,} units, computed again", columns, rows)
    _print_faults(out, again.faults)
    if again.circumstances and (again.faults or any(unit.largest for unit in again.units)):
        out.print("that may be because of:", soft_wrap=True)
        for line in again.circumstances:
            out.print(f"  {line}", soft_wrap=True)
        out.print(WHY, soft_wrap=True)
    elif again.faults:
        out.print(NONE, soft_wrap=True)


def _print_faults(out: Terminal, problems: Sequence[Problem]) -> None:
    for problem in problems[:SHOWN_PROBLEMS]:
        out.print(str(problem), soft_wrap=True)
    if (more := len(problems) - SHOWN_PROBLEMS) > 0:
        out.print(f"and {more:,} more", soft_wrap=True)


def _verdict(faults: int) -> str:
    return "sound" if not faults else f"{faults:,} fault{'' if faults == 1 else 's'}"
