"""Validation errors in plain words, at places of the job file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gauntlet.jobs.spec.document import Where
from gauntlet.pipeline.problems import suggest

_EXPECTED = {
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "string_type": "text",
    "path_type": "a path",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping (`key: value` lines)",
    "model_type": "a mapping (`key: value` lines)",
    "model_attributes_type": "a mapping (`key: value` lines)",
    "none_required": "nothing",
    "finite_number": "a finite number",
}
_LIMITS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "more than"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "less than"),
}


_OUTDONE = {"literal_error", "none_required", "too_short"}
"""Errors of a whole value that say nothing new when one inside it is known to be wrong."""


@dataclass(frozen=True)
class Complaint:
    """What is wrong with one value.

    Attributes:
        where: place within the validated value.
        what: found and expected, for the person.
    """

    where: Where
    what: str


def complaints(error: ValidationError, model: Any, data: Any, root: Where = ()) -> list[Complaint]:
    """Put a validation error into words.

    Args:
        error: what validation of ``data`` raised.
        model: the validated type; names the keys that a misspelt one may have meant.
        data: what was validated.
        root: where ``model`` and ``data`` stand in what was really validated; errors elsewhere are
            left out.

    Returns:
        One complaint for each wrong value, however many types it could have had.
    """
    grouped: dict[Where, list[ErrorDetails]] = {}
    for details in error.errors(include_url=False):
        if details["loc"][: len(root)] == root:
            place = _place(details["loc"][len(root) :], details["type"], data)
            if details["type"] == "union_tag_invalid":
                place = (*place, details["ctx"]["discriminator"].strip("'"))
            grouped.setdefault(place, []).append(details)
    return [
        Complaint(where, _words(where, found, model, data))
        for where, found in grouped.items()
        if not (_is_outdone(found) and _has_deeper(where, grouped))
    ]


def truth_values(built: Any, data: Any, where: Where = ()) -> Iterator[Complaint]:
    """Find `true` and `false` that validation took for the numbers 1 and 0.

    Args:
        built: what validation made.
        data: of what.
        where: the place of both.
    """
    if isinstance(built, tuple) and len(built) == 1 and not isinstance(data, list):
        (built,) = built  # one entry without the brackets of its list
    if isinstance(data, bool):
        if isinstance(built, int | float) and not isinstance(built, bool):
            yield Complaint(where, f"expected a number, got {shown(data)}")
    elif isinstance(data, dict):
        for key, value in data.items():
            made = built.get(key) if isinstance(built, dict) else getattr(built, str(key), None)
            yield from truth_values(made, value, (*where, key))
    elif isinstance(data, list) and isinstance(built, list | tuple):
        for position, (made, value) in enumerate(zip(built, data, strict=False)):
            yield from truth_values(made, value, (*where, position))


def shown(value: Any) -> str:
    """Write a value as it would stand in the job file, cut to a line's length."""
    text = {None: "nothing", True: "true", False: "false"}.get(value) if _is_word(value) else None
    text = text or repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _is_word(value: Any) -> bool:
    return value is None or isinstance(value, bool)


def _place(steps: Where, kind: str, data: Any) -> Where:
    """Drop the steps that name a branch of a union instead of a key of the data."""
    place: list[str | int] = []
    for position, step in enumerate(steps):
        last = position == len(steps) - 1
        if _holds(data, step):
            data = data[step]
        elif not (last and kind == "missing"):
            continue
        place.append(step)
    return tuple(place)


def _holds(data: Any, step: str | int) -> bool:
    if isinstance(data, dict):
        return step in data
    return isinstance(data, list | tuple) and isinstance(step, int) and step < len(data)


def _is_outdone(found: list[ErrorDetails]) -> bool:
    return all(details["type"] in _OUTDONE for details in found)


def _has_deeper(where: Where, places: Iterable[Where]) -> bool:
    return any(len(other) > len(where) and other[: len(where)] == where for other in places)


def _words(where: Where, found: list[ErrorDetails], model: Any, data: Any) -> str:
    details = found[0]
    context = details.get("ctx", {})
    match details["type"]:
        case "missing" if where and isinstance(where[-1], int):
            return "the list is too short: an entry is missing"
        case "missing":
            return f"is missing; {_meaning(model, where, data)}"
        case "extra_forbidden":
            known = sorted(
                {
                    field
                    for owner in _owners(model, where[:-1], data)
                    for field in owner.model_fields
                }
            )
            return suggest(str(where[-1]), known, "key") if known else "no such key"
        case "union_tag_not_found":
            field = str(context["discriminator"]).strip("'")
            return f"`{field}` is missing; expected one of {', '.join(_tags(model, where, data))}"
        case "union_tag_invalid":
            field = str(context["discriminator"]).strip("'")
            tags, given = _tags(model, where[:-1], data), details["input"].get(field)
            if not isinstance(given, str):
                return f"expected one of {', '.join(tags)}, got {shown(given)}"
            return suggest(given, tags, field)
        case "value_error":
            return str(context.get("error", details["msg"]))
        case "too_short":
            least = context["min_length"]
            return f"expected a list of at least {least}, got {shown(details['input'])}"
        case "string_too_short":
            return "expected some text, got none"
        case "too_long":
            return (
                f"expected at most {context['max_length']} entries, got {context['actual_length']}"
            )
    expected = [words for item in found if (words := _expectation(item))]
    if len(expected) < len(found):
        return f"{details['msg']}, got {shown(details['input'])}"
    value = shown(details["input"])
    hint = " (put it in quotes)" if expected == ["text"] and value.isalnum() else ""
    return f"expected {' or '.join(dict.fromkeys(expected))}, got {value}{hint}"


def _expectation(details: ErrorDetails) -> str | None:
    kind, context = details["type"], details.get("ctx", {})
    if kind in _EXPECTED:
        return _EXPECTED[kind]
    if kind in ("literal_error", "enum"):
        return str(context["expected"])
    if kind in _LIMITS:
        bound, words = _LIMITS[kind]
        return f"{words} {context[bound]:g}"
    if kind == "string_pattern_mismatch":
        return "a name of letters, digits, '-', '_' and '.'"
    return None


def _tags(model: Any, where: Where, data: Any) -> list[str]:
    tags: list[str] = []
    for branch in _owners(model, where, data):
        for field in branch.model_fields.values():
            if field.is_required() and str(get_origin(field.annotation)) == "typing.Literal":
                tags += map(str, get_args(field.annotation))
                break
    return tags


def _meaning(model: Any, where: Where, data: Any) -> str:
    for owner in _owners(model, where[:-1], data):
        field = owner.model_fields.get(str(where[-1]))
        if field is not None and field.description:
            return f"expected: {' '.join(field.description.split())}"
    return "it has no default"


def _owners(model: Any, where: Where, data: Any) -> list[type[BaseModel]]:
    """Return the models that the value at ``where`` may be an instance of."""
    candidates = [model]
    for step in (*where, None):
        if not isinstance(data, list | tuple):  # one entry without the brackets of its list
            candidates = [_entry(candidate) for candidate in candidates]
        models = [found for candidate in candidates for found in _models(candidate)]
        tagged = [found for found in models if _matches(found, data)]
        models = tagged or models
        if step is None:
            return models
        inside = [
            models_field.annotation
            for owner in models
            if (models_field := owner.model_fields.get(str(step))) is not None
        ]
        arguments = [a for c in candidates if not _models(c) for a in get_args(c)]
        candidates = inside or arguments
        if isinstance(data, dict | list | tuple):
            data = data[step]  # type: ignore[index]
    return []


def _entry(annotation: Any) -> Any:
    """Return the type of a list's entries, or the type itself when it is no list's."""
    arguments = get_args(annotation)
    return arguments[0] if get_origin(annotation) is tuple and Ellipsis in arguments else annotation


def _matches(model: type[BaseModel], data: Any) -> bool:
    """Whether the literal fields of a model (the tag of a union) say that the data is meant."""
    literals = {
        name: get_args(field.annotation)
        for name, field in model.model_fields.items()
        if str(get_origin(field.annotation)) == "typing.Literal" and field.is_required()
    }
    return isinstance(data, dict) and all(data.get(k) in v for k, v in literals.items())


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (Annotated, Union, UnionType):
        return [model for argument in get_args(annotation) for model in _models(argument)]
    return []
