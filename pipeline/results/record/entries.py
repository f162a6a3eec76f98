"""The entries of a run's record: what it began with, what it chose, what was done, what changed."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, FiniteFloat, JsonValue, TypeAdapter
from pydantic.dataclasses import dataclass

from gauntlet.pipeline.results.manifest import ThresholdRecord, Words
from gauntlet.pipeline.spec import Stored

FORMAT = 1
"""Of the entries; a record of another format is not understood."""

PIECE = 4096
"""Values of a long list that are written as JSON at a time."""
PIECE_BYTES = 2**15
"""Bytes of one that are read at a time, at least."""

Count = Annotated[int, Field(ge=0, lt=2**63)]
Seconds = Annotated[float, Field(ge=0, lt=1e11, allow_inf_nan=False)]
"""Of Unix time, or of work: no clock can show more."""
FileName = Annotated[str, Field(pattern=r"^[a-z]+/[^/\x00]+\.parquet$")]
"""Of a table's file, in the run's folder: an entry must not lead to files beside it."""


class TableFile(Stored):
    """A file of a table, as a commit names it."""

    name: FileName
    """In the run's folder: ``verdicts/NAME.parquet``."""
    rows: Count
    bytes: Count
    checksum: str
    """`digest` of its content."""
    units: tuple[str, ...] = ()
    """The units that have to be done again to make it anew."""
    attacks: tuple[str, ...] = ()
    """After compaction, instead of `units`: all units of these attacks have to be done again."""


@dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class UnitDone:
    """A finished unit of work; a driver holds one a unit, so that they are small."""

    attack: Annotated[str, AfterValidator(sys.intern)]
    rows: Count
    """Verdicts."""
    lost: Count
    """Examples that could not be attacked."""
    seconds: Seconds
    left_out: dict[Words, str] = Field(default_factory=dict)
    """Examples that could not be read, with the reason: no other attack is on them, either."""
    rows_per_pass: Count | None = Field(default=None, exclude_if=lambda value: value is None)
    """Where there was no memory for that of the plan: what the surrogates' passes were cut to. The
    last bits of its rows may differ from those of a run that had the memory."""
    excess: FiniteFloat | None = Field(default=None, exclude_if=lambda value: value is None)
    """Of a foreign attack: the most by which an image had left the ball, or [0, 1], before it was
    clipped, 8-bit steps of the ball's norm."""


class Begun(Stored):
    """What the run began with: the first entry."""

    kind: Literal["begun"] = "begun"
    format: int = FORMAT
    version: str
    """Of this package."""
    plan: dict[str, JsonValue]
    """The resolved plan, whole, as `plan.json` has it."""
    digest: str
    """Of what of the plan determines the rows."""


class Chosen(Stored):
    """What was found out before the first attack."""

    kind: Literal["chosen"] = "chosen"
    thresholds: dict[str, ThresholdRecord]
    examples: Count
    digest: str
    """Of the ids of the examples, in order."""


class Commit(Stored):
    """Files that count from now on, and the units whose rows are all in files that count."""

    kind: Literal["commit"] = "commit"
    files: tuple[TableFile, ...] = ()
    units: dict[str, UnitDone] = Field(default_factory=dict)


class Compacted(Stored):
    """Files of one table that stand for others from now on: the same rows, sorted."""

    kind: Literal["compacted"] = "compacted"
    files: tuple[TableFile, ...]
    gone: tuple[FileName, ...]
    """The files that count no more."""


class Repair(Stored):
    """What counts no more: it was damaged, or is tried again."""

    kind: Literal["repair"] = "repair"
    files: tuple[FileName, ...] = ()
    units: tuple[str, ...] = ()
    entries: tuple[Count, ...] = ()
    """Numbers of entries that are missing or do not match."""
    instead: tuple[TableFile, ...] = ()
    """Files that stand for some of `files`: the same rows without those of units to do again."""


class Change(Stored):
    """Where and how the rest of the run is done from now on."""

    kind: Literal["change"] = "change"
    plan: dict[str, JsonValue]
    """The plan from now on, whole."""
    fields: tuple[str, ...]
    """What differs from the plan before."""
    note: str = ""
    """What this means for the rows, if anything."""
    kept: tuple[tuple[Count, Count], ...] = ()
    """Batches, first example and the one behind the last, that were begun before: they keep their
    cut whatever `resources.batch` is now."""


Entry = Annotated[
    Begun | Chosen | Commit | Compacted | Repair | Change, Field(discriminator="kind")
]


class Link(Stored):
    """An entry in its place in the chain."""

    number: Count
    before: str
    """Digest of the link before; empty for the first."""
    attempt: Seconds = 0.0
    """When the driver that wrote it had taken the run up, in seconds of Unix time by its clock."""
    at: Seconds = 0.0
    """When it was written, by the same clock."""
    entry: Entry


_STORED: TypeAdapter[Link] = TypeAdapter(Link)
_TEXTS = TypeAdapter(list[str])


class Checksum:
    """The checksum of a content that comes in pieces: 128 bits of BLAKE2b."""

    def __init__(self, content: bytes | memoryview = b"") -> None:
        self._hash = hashlib.blake2b(content, digest_size=16)

    def add(self, content: bytes | memoryview) -> None:
        """Take the next piece in."""
        self._hash.update(content)

    @property
    def text(self) -> str:
        """The checksum of what came so far."""
        return self._hash.hexdigest()


def digest(content: bytes) -> str:
    """Return the checksum of a content."""
    return Checksum(content).text


def digest_of(value: object) -> str:
    """Return the digest of what JSON can hold, whatever the order of its keys."""
    return digest(_canonical(value))


def digest_of_list(values: Sequence[object]) -> str:
    """Return `digest_of` a list, of whose text only a piece is held at a time."""
    return digest_of_pieces(values[at : at + PIECE] for at in range(0, len(values), PIECE))


def digest_of_pieces(pieces: Iterable[Sequence[object]]) -> str:
    """Return `digest_of` a list that comes in pieces, none of them empty."""
    found, between = Checksum(b"["), b""
    for piece in pieces:
        found.add(between)
        found.add(_canonical(piece)[1:-1])
        between = b","
    found.add(b"]")
    return found.text


def pieces_of(text: bytes) -> Iterator[list[str]]:
    """Yield a list of texts that is stored as JSON, a piece of it at a time.

    Raises:
        ValueError: when it is not one.
    """
    if not text.startswith(b"["):
        yield _TEXTS.validate_json(text)
        return
    begin = 0
    # Between two texts stands `", "`; where it stands inside of one the piece is none, and what is
    # left is read at once. So it is where a list was written in another form.
    while (end := text.find(b'", "', begin + PIECE_BYTES)) >= 0:
        try:
            yield _TEXTS.validate_json(b"[" + text[begin + 1 : end + 1] + b"]")
        except ValueError:
            break
        begin = end + 2
    if last := _TEXTS.validate_json(b"[" + text[begin + 1 :]):
        yield last


def line_of(link: Link) -> bytes:
    """Return a link as the line that stores it, with its own digest."""
    stored = link.model_dump(mode="json")
    return _canonical({"digest": digest_of(stored), "link": stored}) + b"\n"


def read_line(line: bytes) -> tuple[Link, str]:
    """Return a stored link and its digest.

    Raises:
        ValueError: when it is not what was written.
    """
    found = json.loads(line)
    if not isinstance(found, dict) or digest_of(found.get("link")) != found.get("digest"):
        raise ValueError("does not match its digest")
    return _STORED.validate_json(_canonical(found["link"])), found["digest"]


def format_of(line: bytes) -> int:
    """Return the format that a record's first line names; `FORMAT` if it names none."""
    try:
        found = json.loads(line)["link"]["entry"]["format"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return FORMAT
    return found if isinstance(found, int) else FORMAT


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
