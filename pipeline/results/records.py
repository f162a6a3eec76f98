"""What a run folder says of itself in JSON, read back; damage is named with the way out of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from shlex import quote
from typing import TypeVar

import pyarrow as pa
from pydantic import ValidationError

from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.results.manifest import Manifest
from gauntlet.pipeline.results.record.entries import PIECE, pieces_of
from gauntlet.pipeline.results.run_folder import RunFolder
from gauntlet.pipeline.results.store_address import below, is_remote

Content = TypeVar("Content")

FORMER = (
    "a run without a record, as version 0.1 left them, is read and reported, but not resumed: its "
    "files can be compared with nothing; put record/ back if it is lost, or run the job anew in "
    "another folder"
)
"""Why a run without a record is not resumed."""
SHOWN_RUNS = 5
"""Runs that a message about a folder of runs names."""
_ANEW = "delete it, and `gauntlet resume {}` writes it anew"


def manifest(folder: RunFolder) -> Manifest:
    """Return what a run recorded about its models, attacks, thresholds and software.

    Raises:
        BadInput: when the file is missing or damaged.
    """
    return record(folder, "manifest.json", Manifest.model_validate_json, _ANEW)


def selection(folder: RunFolder, known: Iterable[str] = ()) -> list[str]:
    """Return the ids of the examples that a run attacks.

    Args:
        folder: the run's.
        known: ids that are held anyway: those that come in their order are not held twice.

    Raises:
        BadInput: when the file is missing or damaged.
    """
    remedy = "delete it, and `gauntlet resume {}` chooses the same examples again"
    walk = iter(known)

    def read(content: bytes) -> list[str]:
        ids = (example for piece in pieces_of(content) for example in piece)
        return [next((held for held in walk if held == example), example) for example in ids]

    return record(folder, "selection.json", read, remedy)


def selection_text(ids: Sequence[str]) -> pa.Buffer:
    """Return the content of `selection.json`, of which no second copy is made on the way."""
    text = bytearray(b"[")
    for begin in range(0, len(ids), PIECE):
        text += b", " if begin else b""
        text += json.dumps(ids[begin : begin + PIECE]).encode()[1:-1]
    text += b"]"
    return pa.py_buffer(text)


def check_run(folder: str) -> None:
    """Check that a folder holds a run.

    Raises:
        BadInput: when it does not, with what is there instead.
    """
    path = Path(folder)
    if not is_remote(folder):
        if not path.exists():
            raise BadInput(Problem(folder, "no run here: no such folder"))
        if not path.is_dir():
            raise BadInput(Problem(folder, "no run here: is a file; expected the run's folder"))
    if RunFolder(folder).holds_run():
        return
    what = "no run here: plan.json is missing"
    plans = [] if is_remote(folder) else sorted(path.glob("*/plan.json"))
    if plans:
        # The names of runs end with their times: the newest are the last.
        found = [str(plan.parent) for plan in plans[-SHOWN_RUNS:]]
        more = "..., " if len(plans) > SHOWN_RUNS else ""
        what += f"; runs here: {more}{', '.join(found)}"
    raise BadInput(Problem(folder, what))


def record(folder: RunFolder, name: str, read: Callable[[bytes], Content], remedy: str) -> Content:
    """Return a file's content, made by pydantic from JSON.

    Args:
        folder: the run's.
        name: of the file in it.
        read: makes the content.
        remedy: what to do about a damaged file; ``{}`` stands for the folder.

    Raises:
        BadInput: when it cannot be read or is not what it should be.
    """
    try:
        return read(folder.read(name))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        what = f"damaged, or of another version ({f'{place}: ' if place else ''}{first['msg']})"
    except OSError as error:
        what = f"cannot be read ({error.strerror or error})"
    where = below(folder.location, name)
    raise BadInput(Problem(where, f"{what}: {remedy.format(quote(folder.location))}"))
