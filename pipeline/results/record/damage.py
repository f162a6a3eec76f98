"""What a run's folder holds beside what its record says: found, and told in a line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from shlex import quote
from typing import Any

from gauntlet.pipeline.results.record.chain import FOLDER, Record
from gauntlet.pipeline.results.record.entries import (
    Checksum,
    TableFile,
    digest_of_pieces,
    pieces_of,
)
from gauntlet.pipeline.results.schema import TABLES
from gauntlet.pipeline.results.storage import STAGING, Storage

SHOWN = 3
"""Faults, or fields of a plan, that a line names."""
PIECE = 2**22
"""Bytes of a file that are held at a time to compare its checksum."""


@dataclass(frozen=True)
class Damage:
    """What is wrong with a run.

    Attributes:
        location: the run's.
        files: what is wrong with files of tables that count, by name.
        unlisted: files of tables that no commit lists.
        waiting: files that count, and are not where everybody looks.
        entries: what is wrong with entries of the record, by number.
        chosen: what is wrong with the list of chosen examples, if anything.
        plan: what is wrong with `plan.json`, if anything.
        edited: the fields in which `plan.json` differs from the record.
        headless: whether the record's first entry is one of the damaged ones.
        units: those that have to be done again.
        gone: the files that count no more once they are.
        partly: those that may have rows of such units, and of others.
    """

    location: str
    files: Mapping[str, str] = field(default_factory=dict)
    unlisted: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    entries: Mapping[int, str] = field(default_factory=dict)
    chosen: str = ""
    plan: str = ""
    edited: tuple[str, ...] = ()
    headless: bool = False
    units: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()
    partly: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        places = self.unlisted or self.waiting
        return bool(self.files or places or self.entries or self.chosen or self.plan)

    @property
    def line(self) -> str:
        """What is wrong and what `resume` will do about it, in one line; empty if nothing is."""
        if not self:
            return ""
        wrong = _listed(f"{where} {what}" for where, what in self.wrong())
        return f"damaged run: {wrong}; {self._remedy()}"

    @property
    def fatal(self) -> str:
        """Why `resume` would not go on, and what can be done; empty if it would."""
        if self.headless:
            return (
                "the record says no more what the run began with: put "
                f"{FOLDER}/000000.json back from a copy, or run the job anew elsewhere"
            )
        if self.edited:
            return (
                "`gauntlet resume` goes on with the plan of the record only: delete plan.json, and "
                f"`gauntlet resume {quote(self.location)}` writes that one anew"
            )
        return ""

    def wrong(self) -> Iterator[tuple[str, str]]:
        """Yield each thing that is wrong: where, and what."""
        if self.plan:
            yield "plan.json", self.plan
        for number, what in self.entries.items():
            yield f"{FOLDER} entry {number:06d}", what
        if self.chosen:
            yield "selection.json", self.chosen
        yield from self.files.items()
        for name in self.unlisted:
            yield name, "is in no commit"
        for name in self.waiting:
            yield name, "is not in its place yet"

    def _remedy(self) -> str:
        if self.fatal:
            return self.fatal
        acts = []
        if self.plan:
            acts.append("writes plan.json anew")
        if self.chosen:
            acts.append("chooses the examples again")
        if self.units:
            acts.append(f"does {_counted(len(self.units), 'unit')} again")
        elif self.files:
            acts.append("makes its rows anew")
        if self.unlisted:
            acts.append(f"removes {_counted(len(self.unlisted), 'unlisted file')}")
            acts.append("does what is left")
        if self.waiting:
            acts.append(f"moves {_counted(len(self.waiting), 'file')} there")
        if self.entries and not acts:
            acts.append("goes on without what it said")
        *acts, last = acts
        first = f"{', '.join(acts)} and " if acts else ""
        return f"`gauntlet resume {quote(self.location)}` {first}{last}"


def examine(
    storage: Storage,
    record: Record,
    checked: Callable[[str], bool] = lambda name: False,
    running: bool = False,
) -> Damage:
    """Return what is wrong with a run.

    Whether the files are there, and their sizes, is always compared.

    Args:
        storage: the run's files.
        record: as it was read from them.
        checked: whether a file is read whole and its checksum compared, too.
        running: whether a driver is at work, whose newest files no commit lists yet.
    """
    placed = {name: size for table in TABLES for name, size in storage.sizes(table).items()}
    staged = {name: size for table in TABLES for name, size in storage.staged(table).items()}
    there = staged | placed
    with ThreadPoolExecutor() as pool:
        found = pool.map(
            lambda file: wrong_with(storage, file, there.get(file.name), checked(file.name)),
            record.files.values(),
        )
        files = {name: what for name, what in zip(record.files, found, strict=True) if what}
    again = frozenset(
        unit for name in files for unit in units_in(record, name) if unit in record.units
    )
    plan, edited = _compared(storage, record)
    strange = (
        ()
        if running
        else (
            *sorted(placed.keys() - record.files.keys()),
            *(
                f"{STAGING}/{name}"
                for name in sorted(staged)
                if name in placed or name not in record.files
            ),
        )
    )
    late = staged.keys() & record.files.keys() - placed.keys()
    return replace(
        outdated(storage.location, record, files, again),
        unlisted=strange,
        waiting=tuple(sorted(late)) if storage.moves and not running else (),
        entries=record.faults,
        chosen=_wrong_choice(storage, record),
        plan=plan,
        edited=edited,
        headless=record.begun is None,
    )


def outdated(
    location: str, record: Record, files: Mapping[str, str], units: frozenset[str]
) -> Damage:
    """Return which files count no more, wholly or partly, when some units are done again.

    Args:
        location: the run's.
        record: of the run.
        files: what is wrong with files that count, by name.
        units: those that have to be done again.
    """
    done = record.units.keys() - units
    gone, partly = set(files), set[str]()
    for name, file in record.files.items():
        if name in gone or not by_units(file):
            continue
        within = units_in(record, name)
        if within.isdisjoint(done):
            gone.add(name)
        elif not within <= done or (record.faults and file.attacks):
            # A lost entry may be what named units whose rows are here.
            partly.add(name)
    return Damage(location, files, units=units, gone=frozenset(gone), partly=frozenset(partly))


def by_units(file: TableFile) -> bool:
    """Return whether a file holds rows of units of work, not what a stage before them reported."""
    return bool(file.units or file.attacks)


def units_in(record: Record, name: str) -> frozenset[str]:
    """Return the units that may have rows in a file that counts, those that are not done, too."""
    file = record.files[name]
    if not file.attacks:
        return frozenset(file.units)
    return frozenset(unit for unit, done in record.units.items() if done.attack in file.attacks)


def differences(before: Any, now: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Yield the fields in which two values of JSON differ, dotted, and how."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in [*before, *(key for key in now if key not in before)]:
            where = f"{place}.{key}" if place else key
            if key not in before or key not in now:
                yield where, "is new" if key not in before else "is gone"
            else:
                yield from differences(before[key], now[key], where)
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for position, (one, other) in enumerate(zip(before, now, strict=True)):
            yield from differences(one, other, f"{place}.{position}")
    elif before != now:
        yield place, f"{_short(before)} -> {_short(now)}"


def difference_words(before: Any, now: Any) -> tuple[str, ...]:
    """Return each field in which two plans differ, with what it was and is."""
    return tuple(f"{where}: {how}" for where, how in differences(before, now))


def for_a_report(name: str) -> bool:
    """Return whether a report reads a file whole: adversarial images are many, and looked at by
    few."""
    return not name.startswith("examples/")


def wrong_with(storage: Storage, file: TableFile, size: int | None, read: bool) -> str:
    """Return what is wrong with a file that counts; empty if nothing is.

    Args:
        storage: the run's files.
        file: as its commit names it.
        size: that it has, bytes; None if it is not there.
        read: whether its checksum is compared, too.
    """
    if size is None:
        return "is missing"
    if size < file.bytes:
        return f"was cut ({size:,} of {file.bytes:,} bytes)"
    if size > file.bytes:
        return "was changed"
    if not read:
        return ""
    found = Checksum()
    try:
        with storage.opened(storage.located(file.name)) as stream:
            while piece := stream.read_buffer(PIECE):
                found.add(memoryview(piece))
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    return "" if found.text == file.checksum else "was changed"


def _wrong_choice(storage: Storage, record: Record) -> str:
    if record.chosen is None:
        return ""
    if not storage.exists("selection.json"):
        return "is missing"
    try:
        pieces = pieces_of(storage.read("selection.json"))
        same = digest_of_pieces(pieces) == record.chosen.digest
    except (ValueError, RecursionError):
        same = False
    except OSError as error:
        return f"cannot be read ({error})"
    return "" if same else "was edited"


def _compared(storage: Storage, record: Record) -> tuple[str, tuple[str, ...]]:
    """Return what is wrong with `plan.json`, and the fields that were edited in it."""
    if record.plan is None:
        return "", ()
    if not storage.exists("plan.json"):
        return "is missing", ()
    try:
        written = json.loads(storage.read("plan.json"))
    except (ValueError, RecursionError):
        return "is damaged", ("all of it",)
    except OSError as error:
        return f"cannot be read ({error})", ("all of it",)
    if written in record.plans:  # an earlier one: its change was recorded, and nothing more
        return "", ()
    fields = difference_words(record.plan, written)
    return f"was edited ({_listed(fields)})", fields


def _listed(texts: Iterable[str]) -> str:
    found = [*texts]
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return f"{', '.join(found[:SHOWN])}{more}"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
