"""What a run folder says of itself in JSON, read back; damage is named with the way out of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.results.folder import RunFolder

Content = TypeVar("Content")

_ANEW = "delete it, and `gauntlet resume {}` writes it anew"
_SELECTION = TypeAdapter(list[str])


class _Noted(BaseModel):
    """A mapping of which some fields are read, and the others kept."""

    model_config = ConfigDict(extra="allow")


class _Attack(_Noted):
    attack: str


class _Model(_Noted):
    fingerprint: str


class _Threshold(_Noted):
    threshold: float


class _Units(_Noted):
    done: int
    failed: int


class _Manifest(_Noted):
    attacks: list[_Attack]
    models: dict[str, _Model] = {}
    thresholds: dict[str, _Threshold] = {}
    units: _Units = _Units(done=0, failed=0)
    seconds: float = 0.0


def manifest(folder: RunFolder) -> dict[str, Any]:
    """Return what a run recorded about its models, attacks, thresholds and software.

    Raises:
        BadInput: when the file is missing or damaged.
    """

    def checked(content: bytes) -> dict[str, Any]:
        _Manifest.model_validate_json(content)
        return dict(json.loads(content))

    return record(folder, "manifest.json", checked, _ANEW)


def selection(folder: RunFolder) -> list[str]:
    """Return the ids of the examples that a run attacks.

    Raises:
        BadInput: when the file is missing or damaged.
    """
    remedy = "delete it, and `gauntlet resume {}` chooses the same examples again"
    return record(folder, "selection.json", _SELECTION.validate_json, remedy)


def units_of_complete(folder: str) -> int | None:
    """Return how many units a run has if they are all finished, None if some work is left."""
    store = RunFolder(folder)
    if not store.exists("manifest.json"):
        return None
    record = manifest(store)
    units = record.get("units", {"done": 0, "failed": 0})
    if "finished" not in record or units["failed"] or len(store.finished()) < units["done"]:
        return None
    return int(units["done"])


def occupied(folder: str) -> str | None:
    """Return why a new run cannot go into a folder that holds one, None if it holds none."""
    if not RunFolder(folder).exists():
        return None
    if units_of_complete(folder) is None:
        return f"holds a run already; go on with `gauntlet resume {folder}`"
    return f"holds a finished run already; see it with `gauntlet report {folder}`"


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
    where = f"{folder.location.rstrip('/')}/{name}"
    raise BadInput(Problem(where, f"{what}: {remedy.format(folder.location)}"))
