"""The common ground of everything a person can configure."""

from __future__ import annotations

import ast
import operator
import os
import re
from collections.abc import Mapping
from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from gauntlet.pipeline.problems import suggest

# Without this every error ends in an address of the validation library's own documentation, which
# knows nothing of attacks. The library reads it when it first shows an error.
os.environ.setdefault("PYDANTIC_ERRORS_INCLUDE_URL", "0")


class Spec(BaseModel):
    """A frozen, typed description; an unknown field is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with some fields changed; what was worked out from the others is forgotten.

        Pydantic copies cached properties, too, which would go on describing the old fields.
        """
        copy = super().model_copy(update=update, deep=deep)
        for name in vars(copy).keys() - type(self).model_fields.keys():
            del vars(copy)[name]
        return copy


class Stored(Spec):
    """A description that programs write and read: nobody is told what its fields are.

    Pydantic parses the source of a class for the docstrings of its fields, which takes longer than
    all else about it, and commands that only read a run import many.
    """

    model_config = ConfigDict(use_attribute_docstrings=False)


class Written(Spec):
    """A description that people write in Python, too: of an unknown field it says which is near."""

    # Not of every spec: what goes through a function here is strict JSON no more.
    @model_validator(mode="wrap")
    @classmethod
    def _near_names(cls, data: Any, build: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return build(data)
        except ValidationError as error:
            raise ValidationError.from_exception_data(
                error.title, [cls._advised(details) for details in error.errors()]
            ) from None

    @classmethod
    def _advised(cls, details: ErrorDetails) -> InitErrorDetails:
        where, given = details["loc"], details["input"]
        if details["type"] == "extra_forbidden":
            # What is further inside was advised by whom it belongs to.
            what = suggest(str(where[0]), [*cls.model_fields], "field")
            words = {"what": what if len(where) == 1 else details["msg"]}
            unknown = PydanticCustomError("extra_forbidden", "{what}", words)
            return InitErrorDetails(type=unknown, loc=where, input=given)
        context = details.get("ctx", {})
        return InitErrorDetails(type=details["type"], loc=where, input=given, ctx=context)


_OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def number(text: Any, **names: float) -> float:
    """Evaluate a number or an arithmetic expression such as ``8/255`` or ``eps/10``.

    Args:
        text: a number, or a string of numbers, + - * / and the given names.
        names: values that the expression may refer to.

    Raises:
        ValueError: when it is neither.
    """
    if isinstance(text, bool) or not isinstance(text, int | float | str):
        raise ValueError(f"expected a number or an expression such as '8/255', got {text!r}")
    if not isinstance(text, str):
        return float(text)

    def value(node: ast.AST) -> float:
        match node:
            case ast.Expression(body=body):
                return value(body)
            case ast.Constant(value=int() | float() as constant) if not isinstance(constant, bool):
                return float(constant)
            case ast.Name(id=name) if name in names:
                return names[name]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -value(operand)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                return float(_OPERATORS[type(op)](value(left), value(right)))
        known = f" with {', '.join(names)}" if names else ""
        raise ValueError(f"expected a number or an expression such as '8/255'{known}, got {text!r}")

    if len(text) > 64 or not re.fullmatch(r"[\w\s.+\-*/()]+", text):
        raise ValueError(f"expected a number or an expression such as '8/255', got {text!r}")
    try:
        return value(ast.parse(text.strip(), mode="eval"))
    except SyntaxError:
        raise ValueError(f"expected a number such as '8/255', got {text!r}") from None
    except ZeroDivisionError:
        raise ValueError(f"division by zero in {text!r}") from None


def listed(value: Any) -> Any:
    """Return a value as the list that it may stand for: a list as it is, one value alone in one."""
    return value if value is None or isinstance(value, list | tuple) else [value]


Entry = TypeVar("Entry")
Several = Annotated[tuple[Entry, ...], BeforeValidator(listed)]
"""A list; one entry alone may be written without its brackets."""

Quantity = Annotated[float, BeforeValidator(number)]
"""A number that may be written as an expression: ``8/255``."""

Probability = Annotated[float, BeforeValidator(number), Field(ge=0, le=1)]
