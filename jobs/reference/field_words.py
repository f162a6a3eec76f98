"""A field of a model in words: its type, its default and what it means."""

from __future__ import annotations

import types
from enum import EnumMeta
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from gauntlet.jobs.reference.index import FieldRow
from gauntlet.pipeline.spec import Quantity

_WORDS = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    type(None): "nothing",
    dict: "mapping",
    list: "list",
    Any: "any value",
}


def field_row(name: str, field: FieldInfo) -> FieldRow:
    """Return what is said of a field."""
    return FieldRow(
        name=name, type=type_words(field), default=default_words(field), meaning=meaning(field)
    )


def meaning(field: FieldInfo) -> str:
    """Return a field's documentation in one line."""
    return " ".join((field.description or "").split())


def default_words(field: FieldInfo, value: Any = PydanticUndefined) -> str:
    """Return a field's default, or another value of it, as a job would write it."""
    if value is PydanticUndefined:
        if field.is_required():
            return "required"
        value = field.get_default(call_default_factory=True)
    if value is None or value is PydanticUndefined or value == "" or value == {}:
        return "none"
    if isinstance(value, BaseModel):
        return "all defaults"
    if isinstance(value, tuple) and len(value) == 1:  # needs no brackets
        return f"`{value[0]}`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float) and field.annotation is float and is_quantity(field):
        return f"`{_fraction(value)}`"
    return f"`{value}`"


def type_words(field: FieldInfo) -> str:
    """Return a field's type in plain words."""
    if is_quantity(field):
        return "number or expression"
    return _words(field.annotation)


def is_quantity(field: FieldInfo) -> bool:
    """Return whether a field may be written as an expression such as ``8/255``."""
    validators = list(get_args(Quantity)[1:])
    return any(item in validators for item in field.metadata)


def _fraction(value: float) -> str:
    steps = value * 255
    if value and abs(steps - round(steps)) < 1e-9 and steps < 255:
        return f"{round(steps)}/255"
    return f"{value:g}"


def _words(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        if annotation == Quantity:
            return "number or expression"
        return _words(arguments[0])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType):
        if all(_is_model(argument) for argument in arguments):
            return "mapping"
        kinds = [_words(argument) for argument in arguments if argument is not type(None)]
        return " or ".join(dict.fromkeys(kinds))
    if origin is tuple:
        inner = [argument for argument in arguments if argument is not Ellipsis]
        count = "" if Ellipsis in arguments else f"{len(inner)} times "
        return f"list of {count}{_words(inner[0])}"
    if origin is list:
        return f"list of {_words(arguments[0])}"
    if isinstance(annotation, EnumMeta):
        return ", ".join(f"`{value}`" for value in annotation._value2member_map_)
    if _is_model(annotation) or origin is dict:
        return "mapping"
    return _WORDS.get(annotation, getattr(annotation, "__name__", str(annotation)).lower())


def _is_model(annotation: Any) -> bool:
    annotation = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
