"""``--set key.path=value``: changes to a job from the command line."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from gauntlet.jobs.spec.document import Document, Where, dotted
from gauntlet.jobs.spec.yaml_source import parse_value
from gauntlet.pipeline.problems import BadInput, Problem

_LISTS = (("surrogates",), ("targets",), ("attacks",))
"""Lists whose only entry may stand without brackets."""


@dataclass(frozen=True)
class Override:
    """One change.

    Attributes:
        where: the place to set.
        value: what to set there.
        option: how messages call it.
    """

    where: Where
    value: Any
    option: str

    @classmethod
    def parse(cls, text: str) -> Override:
        """Read ``attacks.0.steps=5`` or ``attacks[0].steps=5``; the value is read as YAML.

        Raises:
            BadInput: when it has no ``=``, an empty key, or a value that is not YAML.
        """
        path, equals, value = text.partition("=")
        keys = path.strip().replace("[", ".").replace("]", "").split(".")
        option = f"--set {path.strip()}"
        if not equals or not all(keys):
            raise BadInput(
                Problem(f"--set {text}", "expected KEY.PATH=VALUE, such as resources.batch=16")
            )
        try:
            parsed = parse_value(value)
        except BadInput as error:
            what = "; ".join(problem.what for problem in error.problems)
            raise BadInput(Problem(option, f"cannot read {value!r}: {what}")) from None
        return cls(tuple(int(key) if key.isdecimal() else key for key in keys), parsed, option)


def apply(document: Document, overrides: Sequence[Override]) -> Document:
    """Return the document with the overrides made, in order.

    Mappings on the way are created when the job has none; whether their keys exist is for
    validation to say.

    Raises:
        BadInput: with every override whose place the job cannot have.
    """
    data = copy.deepcopy(document.data)
    marks = dict(document.overrides)
    problems: list[Problem] = []
    for override in overrides:
        created = _first_missing(data, override.where)
        what = _set(data, override)
        if what is not None:
            problems.append(Problem(override.option, what))
        marks = {
            place: option
            for place, option in marks.items()
            if place[: len(override.where)] != override.where
        }
        marks[created] = marks[override.where] = override.option
    if problems:
        raise BadInput(problems)
    return replace(document, data=data, overrides=marks)


def _first_missing(data: Any, where: Where) -> Where:
    """Return the outermost place on the way that the job does not have yet, or the place itself."""
    for depth, key in enumerate(where, start=1):
        if isinstance(data, dict) and data.get(str(key)) is not None:
            data = data[str(key)]
        elif isinstance(data, list) and isinstance(key, int) and key < len(data):
            data = data[key]
        else:
            return where[:depth]
    return where


def _set(data: Any, override: Override) -> str | None:
    """Set one value; return what stands in the way, if anything does."""
    *way, last = override.where
    here = data
    for depth, key in enumerate(way):
        if what := _unreachable(here, override.where, depth):
            return what
        if isinstance(here, dict) and here.get(str(key)) is None:
            here[str(key)] = {}
        here = here[key if isinstance(here, list) else str(key)]
    if what := _unreachable(here, override.where, len(way)):
        return what
    here[last if isinstance(here, list) else str(last)] = override.value
    return None


def _unreachable(holder: Any, place: Where, depth: int) -> str | None:
    """Return why a key of a place, the one at that depth, cannot be one of its holder's."""
    where, key = place[:depth], place[depth]
    name = dotted(where) or "the job"
    if isinstance(holder, dict):
        if where in _LISTS and isinstance(key, int) and holder:
            return f"{name} is one mapping; write {dotted((*where, *place[depth + 1 :]))}=..."
        return None
    if not isinstance(holder, list):
        return f"{name} is {holder!r}, which has no fields to set"
    if not isinstance(key, int):
        return f"{name} is a list; write a position from 0 to {len(holder) - 1}, not {key!r}"
    if key >= len(holder):
        return f"{name} has {len(holder)} entries; expected a position from 0 to {len(holder) - 1}"
    return None
