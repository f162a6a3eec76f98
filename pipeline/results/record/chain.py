"""A run's record: numbered entries, each with the digest of the one before, and what they say.

An entry is a line of JSON in a file of its own, ``record/000017.json``, written aside, synced,
renamed and its folder synced. Once a hundred have gathered their lines go into one file,
``record/000000-000099.jsonl``, and theirs away: whatever is interrupted, every line is there.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.results.manifest import ThresholdRecord
from gauntlet.pipeline.results.record.entries import (
    FORMAT,
    Begun,
    Change,
    Chosen,
    Commit,
    Compacted,
    Entry,
    Link,
    Repair,
    TableFile,
    UnitDone,
    format_of,
    line_of,
    read_line,
)
from gauntlet.pipeline.results.storage import Storage

FOLDER = "record"
ROLL = 100
"""Entries that lie in files of their own before they go into one."""
MOST_MISSING = 100_000
"""Entries that may be missing between others; each is told and excused by its number."""
_NAME = re.compile(r"record/(\d{6,})(?:\.json|-(\d{6,})\.jsonl)")


@dataclass
class Attempt:
    """What one driver recorded, from when it took the run up.

    Attributes:
        since: when that was, in seconds of Unix time by its clock.
        working: when its units began: where it chose the examples itself, after that.
        until: when it last recorded something.
        units: that it finished.
    """

    since: float
    working: float
    until: float
    units: int = 0


class Record:
    """What the entries of a run say, as they were read and as more are appended.

    Attributes:
        begun: the first entry; None when it is missing or edited.
        plans: the plan that the run began with, and those that it was changed to.
        chosen: thresholds and examples, once they are known.
        files: the files that count, by name.
        units: the units that are done.
        kept: batches that were begun under an earlier `resources.batch`.
        faults: entries that are missing or edited, by number.
        attempts: of the drivers that recorded something, the first one first.
        guard: asked before every entry; raises when this process may write none.
        insist: carries out what writes an entry; may try again.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.begun: Begun | None = None
        self.plans: list[dict[str, JsonValue]] = []
        self.chosen: Chosen | None = None
        self.files: dict[str, TableFile] = {}
        self.units: dict[str, UnitDone] = {}
        self.kept: tuple[tuple[int, int], ...] = ()
        self.faults: dict[int, str] = {}
        self.guard: Callable[[], None] = lambda: None
        self.insist: Callable[[Callable[[], None]], None] = lambda act: act()
        self.attempts: list[Attempt] = []
        self._since = time.time()
        self._planned: dict[str, int] = {}
        self._next, self._before = 0, ""
        self._loose: dict[int, bytes] = {}

    @classmethod
    def read(cls, storage: Storage) -> Record | None:
        """Return a run's record, None if it has none.

        Raises:
            BadInput: when another version wrote it in a format that this one does not know; when
                far more entries are missing than are there.
            OSError: when it cannot be read.
        """
        while names := [name for name in storage.sizes(FOLDER) if _NAME.fullmatch(name)]:
            record = cls(storage)
            try:
                record._take_in(names)
            except FileNotFoundError:  # its driver put entries together just now
                continue
            return record
        return None

    @property
    def plan(self) -> dict[str, JsonValue] | None:
        """The plan that holds now, None if the entries with it are damaged."""
        return self.plans[-1] if self.plans else None

    @property
    def thresholds(self) -> dict[str, ThresholdRecord] | None:
        """Of the models, once they are known."""
        return None if self.chosen is None else self.chosen.thresholds

    def rows_per_pass(self, unit: str) -> int:
        """Return what the surrogates' passes were cut to when a unit was done: `resources` of the
        plan that held then says it, or its commit, where there was no memory for that."""
        plan: Any = self.plans[self._planned.get(unit, 0)]
        return self.units[unit].rows_per_pass or int(plan["resources"]["rows_per_pass"])

    @property
    def narrowed(self) -> dict[str, int]:
        """The units that were done with fewer rows a pass than their plan says, and how many."""
        return {unit: done.rows_per_pass for unit, done in self.units.items() if done.rows_per_pass}

    @property
    def excess(self) -> dict[str, float]:
        """The most by which foreign images had left their ball, 8-bit steps, by attack."""
        found: dict[str, float] = {}
        for done in self.units.values():
            if done.excess is not None:
                found[done.attack] = max(done.excess, found.get(done.attack, 0.0))
        return found

    def append(self, entry: Entry) -> None:
        """Add an entry: when this returns it holds, whatever happens to the machine.

        Raises:
            OSError: when it cannot be written, or when ``guard`` says that it must not.
        """
        link = Link(
            number=self._next,
            before=self._before,
            attempt=self._since,
            at=time.time(),
            entry=entry,
        )
        line = line_of(link)

        def write() -> None:
            self.guard()
            self._storage.write_once(f"{FOLDER}/{link.number:06d}.json", line)

        self.insist(write)
        self._loose[link.number] = line
        self._follow(link, read_line(line)[1])
        if len(self._loose) >= ROLL:
            with suppress(OSError):  # the entry is written; the next one sees to these again
                self._roll()

    def _roll(self) -> None:
        numbers = sorted(self._loose)
        name = f"{FOLDER}/{numbers[0]:06d}-{numbers[-1]:06d}.jsonl"
        content = b"".join(self._loose[number] for number in numbers)
        self._storage.write(name, content)
        for number in numbers:
            self._storage.delete(f"{FOLDER}/{number:06d}.json")
        self._loose.clear()

    # -- reading -------------------------------------------------------------------------------

    def _take_in(self, names: Iterable[str]) -> None:
        found: dict[int, tuple[Link, str]] = {}
        edited: set[int] = set()
        last = -1
        for name in names:
            numbers = [int(number) for number in _NAME.fullmatch(name).groups("-1")]  # type: ignore[union-attr]
            last = max(last, *numbers)
            for line in self._storage.read(name).splitlines(keepends=True):
                if format_of(line) != FORMAT:
                    raise BadInput(self._unknown(format_of(line)))
                try:
                    link, mark = read_line(line)
                except (ValueError, RecursionError):
                    edited |= {numbers[0]} if numbers[1] < 0 else set()
                    continue
                found.setdefault(link.number, (link, mark))
                if numbers[1] < 0:
                    self._loose[link.number] = line
        if (missing := last + 1 - len(found)) > MOST_MISSING:
            raise BadInput(self._gaping(missing, max(names)))
        excused = {
            number
            for link, _ in found.values()
            if isinstance(link.entry, Repair)
            for number in link.entry.entries
        }
        for number in range(last + 1):
            following = found.get(number + 1)
            if number not in found:
                self.faults[number] = "was edited" if number in edited else "is missing"
            elif following and number not in excused and following[0].before != found[number][1]:
                self.faults[number] = "was edited"
        for number in sorted(found.keys() - self.faults.keys() - excused):
            self._follow(*found[number])
        for number in excused:
            self.faults.pop(number, None)
        self._next = last + 1

    def _follow(self, link: Link, mark: str) -> None:
        self._next, self._before = link.number + 1, mark
        if not self.attempts or self.attempts[-1].since != link.attempt:
            self.attempts.append(Attempt(link.attempt, link.attempt, link.at))
        attempt = self.attempts[-1]
        attempt.until = link.at
        match link.entry:
            case Begun() as begun:
                self.begun = begun
                self.plans = [begun.plan]
            case Chosen() as chosen:
                self.chosen = chosen
                attempt.working = link.at
            case Commit(files=files, units=units):
                self.files |= {file.name: file for file in files}
                self.units |= units
                if len(self.plans) > 1:
                    self._planned |= dict.fromkeys(units, len(self.plans) - 1)
                attempt.units += len(units)
            case Compacted(files=files, gone=gone):
                for name in gone:
                    self.files.pop(name, None)
                self.files |= {file.name: file for file in files}
            case Repair(files=gone, units=again, instead=files):
                for name in gone:
                    self.files.pop(name, None)
                self.files |= {file.name: file for file in files}
                for unit in again:
                    self.units.pop(unit, None)
            case Change(plan=plan, kept=kept):
                self.plans.append(plan)
                self.kept = kept

    def _gaping(self, missing: int, name: str) -> Problem:
        what = (
            f"{missing:,} entries are missing before {name}: put them back from a copy, or remove "
            "that file if it is none of the run's"
        )
        return Problem(self._storage.location, what)

    def _unknown(self, number: int) -> Problem:
        what = (
            f"its record is of format {number}, this version knows {FORMAT}: "
            "use the version that began the run"
        )
        return Problem(self._storage.location, what)
