"""Options of a command made from the settings it reads: one for each field of their class."""

from __future__ import annotations

import inspect
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

import typer
from typer.core import TyperCommand

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from gauntlet.pipeline.spec import Spec

_PANEL = "Settings"


def with_settings(name: str) -> type[TyperCommand]:
    """Return the kind of a command with the fields of a class of `training.settings` as options.

    The command finds in its context's ``obj`` what every field is to be, as it was written or as it
    is by default; the class itself says what is wrong with it. It is imported when the command's
    help is wanted or the command runs, and by no other help.

    Args:
        name: of the class.
    """

    class WithSettings(TyperCommand):
        def get_params(self, ctx: Any) -> list[Any]:
            return [*super().get_params(ctx), *_options(name)]

        def invoke(self, ctx: Any) -> Any:
            ctx.obj = {field: ctx.params.pop(field) for field in _settings(name).model_fields}
            return super().invoke(ctx)

    return WithSettings


def _settings(name: str) -> type[Spec]:
    from gauntlet.pipeline.training import settings

    found: type[Spec] = getattr(settings, name)
    return found


@cache
def _options(name: str) -> list[Any]:
    kind = _settings(name)
    # A class's own fields before those that it shares with others.
    fields = sorted(kind.model_fields.items(), key=lambda item: item[0] not in kind.__annotations__)

    def carrier(**given: Any) -> None:
        """Carry the signature: a command makes options of one."""

    carrier.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [_parameter(field, info) for field, info in fields]
    )
    maker = typer.Typer(add_completion=False)
    maker.command()(carrier)
    return list(typer.main.get_command(maker).params)


def _parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    kind, flag = _written_as(field), "--" + name.replace("_", "-")
    names = f"{flag}/--no-{name.replace('_', '-')}" if kind is bool else flag
    text = " ".join((field.description or "").replace("`", "").split())
    option = typer.Option(names, help=text, metavar=_metavar(field, kind), rich_help_panel=_PANEL)
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=_as_written(field.default) if kind is str else field.default,
        annotation=Annotated[kind if field.default is not None else kind | None, option],
    )


_AS_TYPED: dict[object, type] = {bool: bool, int: int, float: float}


def _written_as(field: FieldInfo) -> type:
    """Return the type that the command line reads; what may be an expression is text to it."""
    kinds: dict[object, type] = {} if any(map(_converts, field.metadata)) else _AS_TYPED
    return kinds.get(field.annotation, str)


def _converts(metadata: object) -> bool:
    from pydantic import BeforeValidator

    return isinstance(metadata, BeforeValidator)


def _metavar(field: FieldInfo, kind: type) -> str | None:
    if get_origin(field.annotation) is Literal:
        return "|".join(get_args(field.annotation))
    return "<number>" if kind is str else None


def _as_written(value: Any) -> str | None:
    """Return a default as a person would write it, such as 1/255."""
    if not isinstance(value, float):
        return value if value is None else str(value)
    levels = round(255 * value)
    if levels and levels / 255 == value and levels < 255:
        return f"{levels}/255"
    return f"{value:g}" if float(f"{value:g}") == value else repr(value)
