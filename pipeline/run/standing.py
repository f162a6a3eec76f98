"""Where a run stands, from its record: also while it goes on, and on a machine without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.results.lock import driver
from gauntlet.pipeline.results.record.chain import Attempt, Record
from gauntlet.pipeline.results.run_folder import RunFolder
from gauntlet.pipeline.results.run_log import last_line
from gauntlet.pipeline.run.batches import number_of_batches

FORMER = "a run of version 0.1 has no record that would say how far it is"


@dataclass(frozen=True)
class Pace:
    """How fast units were finished.

    Attributes:
        units: that were.
        seconds: in which they were: from when the run was taken up, or the examples were chosen, to
            the last entry of its record.
    """

    units: int
    seconds: float

    @property
    def a_second(self) -> float | None:
        """Units a second; None where none was finished."""
        return self.units / self.seconds if self.units and self.seconds > 0 else None


@dataclass(frozen=True)
class Standing:
    """Where a run stands.

    Attributes:
        location: of its folder.
        name: the job's.
        version: of the package that began it.
        begun: when, in seconds of Unix time by the driver's clock; 0 where that is unknown.
        units: of work, all; None while the examples are being chosen.
        done: finished units.
        failed: units that were given up; `resume` tries them again.
        attempts: how often the run was taken up, as far as something was recorded then.
        last: pace of the attempt that recorded last.
        all: pace of all attempts together.
        driver: who is at work on it or was when it died, in words; None where nobody is.
        alive: whether the driver lives.
        said: the last line of its log.
        faults: entries of its record that are missing or edited, by number: what they said is not
            counted.
    """

    location: str
    name: str
    version: str
    begun: float
    units: int | None
    done: int
    failed: int
    attempts: int
    last: Pace
    all: Pace
    driver: str | None
    alive: bool
    said: str
    faults: Mapping[int, str]

    @property
    def left(self) -> int | None:
        """Units that are neither finished nor given up; None while that is unknown."""
        return None if self.units is None else max(0, self.units - self.done - self.failed)

    @property
    def complete(self) -> bool:
        """Whether every unit is finished."""
        return self.units is not None and self.done >= self.units

    @property
    def seconds_left(self) -> float | None:
        """How long it takes at the pace of the last attempt; None where that is unknown."""
        pace = self.last.a_second or self.all.a_second
        return None if pace is None or self.left is None else self.left / pace


def standing(location: str) -> Standing:
    """Return where the run in a folder stands.

    Raises:
        BadInput: when it has no record, or one that does not say what the run began with.
        OSError: when it cannot be read.
    """
    folder = RunFolder(location)
    held = driver(folder)  # first: a driver that ends meanwhile has recorded everything before
    record = Record.read(folder)
    if record is None:
        raise BadInput(Problem(location, FORMER))
    if record.begun is None or record.plan is None:
        what = "its record does not say what it began with; `gauntlet resume` says what to do"
        raise BadInput(Problem(location, what))
    said = ""
    with suppress(OSError):  # a log is only told
        said = last_line(folder)
    # Entries of an earlier version have no times.
    timed = [attempt for attempt in record.attempts if attempt.since]
    return Standing(
        location=location,
        name=str(record.plan.get("name")),
        version=record.begun.version,
        begun=record.attempts[0].since,
        units=_units(location, record),
        done=len(record.units),
        failed=len(given_up(record)),
        attempts=len(record.attempts),
        last=_pace(timed[-1:]),
        all=_pace(timed),
        driver=None if held is None else held[0],
        alive=held is not None and held[1],
        said=said,
        faults=record.faults,
    )


def _units(location: str, record: Record) -> int | None:
    """Return how many units there are: batches x attacks, once the examples are chosen."""
    if record.chosen is None:
        return None
    match record.plan:
        case {"resources": {"batch": int(batch)}, "attacks": [*attacks]} if batch > 0:
            cut = number_of_batches(record.chosen.examples, batch, record.kept)
            return cut * len(attacks)
    raise BadInput(Problem(location, "its record holds no plan of a run"))


def given_up(record: Record) -> set[str]:
    """Return the units that kept failing."""
    failures = (file for name, file in record.files.items() if name.startswith("failures/"))
    return {unit for file in failures for unit in file.units} - record.units.keys()


def _pace(attempts: Sequence[Attempt]) -> Pace:
    spent = sum(attempt.until - attempt.working for attempt in attempts)
    return Pace(sum(attempt.units for attempt in attempts), spent)
