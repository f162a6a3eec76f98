"""When the models' answers to clean examples are doubtful: what is said, and who may go on."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from gauntlet.jobs.reports.terminal import Terminal
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.results.record.damage import Damage
from gauntlet.pipeline.run.probe.findings import Decide, Probe, Refused


class Pausing(Protocol):
    """Something on the terminal that gives way to a question."""

    def paused(self) -> AbstractContextManager[None]:
        """Give way."""


def refuse_both(yes: bool, strict: bool) -> None:
    """Check that not both answers were given beforehand.

    Raises:
        BadInput: when they were.
    """
    if yes and strict:
        what = "--yes goes on whatever the models say, --strict does not; give one of them"
        raise BadInput(Problem("--yes, --strict", what))


def decide_on(shown: Pausing, console: Terminal, yes: bool, strict: bool) -> Decide:
    """Return who decides on a run whose models are hardly right about any clean example.

    The warnings have been printed by then. On a terminal the person is asked, once; where nobody
    sits, the run goes on.

    Args:
        shown: gives way to the question.
        console: where it is asked.
        yes: the person has answered beforehand.
        strict: the run ends here.
    """

    def decide(found: Probe) -> None:
        if not found.asks:
            return
        if strict:
            raise strictly_refused()
        if yes or not (console.is_terminal and sys.stdin.isatty()):
            return
        with shown.paused():
            console.print("Attack all the same? [y/N] ", end="")
            answer = sys.stdin.readline().strip().lower()
        if answer not in ("y", "yes"):
            what = "nothing was attacked; put the job right, or say --yes to go on all the same"
            raise Refused(Problem("", what))

    return decide


def strictly_refused() -> Refused:
    """Return the error that ends a strict command."""
    what = "the models' answers to clean examples are doubtful, see the warnings; nothing was done"
    return Refused(Problem("--strict", what))


def print_probe(found: Probe, console: Terminal) -> None:
    """Print what every model is right about, and what seems to be wrong."""
    if not any(finding.accuracy for finding in found.models):
        console.print(found.summary() or "no model could be tried")
    for finding in found.models:
        if finding.accuracy is not None:
            console.print(f"  {finding.name}: {finding.accuracy}")
    for warning in found.warnings:
        print_warning(warning, console)


def print_doubts(warnings: Sequence[str], console: Terminal) -> None:
    """Print the warnings that a run began with; runs that are older than the probe have none."""
    for warning in warnings:
        print_warning(warning, console)


def print_damage(damage: Damage, console: Terminal) -> None:
    """Print what is wrong with a run's files, whose rows are left out, and what mends it."""
    if line := damage.line:
        print_warning(line, console)


def print_warning(text: str, console: Terminal) -> None:
    """Print one warning, unfolded where there is no terminal."""
    console.print(f"warning: {text}", style="yellow", soft_wrap=True)
