"""What the catalogue says of each part, from the parts themselves."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from gauntlet.jobs.reference.field_words import default_words, field_row, is_quantity
from gauntlet.jobs.reference.index import OPEN, FieldRow, MethodRow
from gauntlet.pipeline.attacks.own_parts import origin
from gauntlet.pipeline.attacks.part import Part, catalogue, is_own
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Task
from gauntlet.pipeline.laws import attacks_with

_EMBEDDINGS = "verification or embedding match"
"""What a part needs that compares embeddings."""
_OTHERS = (
    MethodRow(
        place=None,
        name="PGD-linf",
        what="`base: pgd`, `norm: linf`",
        defaults="epsilon=8/255",
        cost="k",
        needs="",
        paper="Madry 2018",
    ),
    MethodRow(
        place=None,
        name="PGD-l2",
        what="`base: pgd`, `norm: l2`; epsilon is per pixel, times sqrt(3HW)",
        defaults="epsilon=8/255, epsilon_unit=rms, normalise=l2rms",
        cost="k",
        needs="",
        paper="Madry 2018",
    ),
    MethodRow(
        place=None,
        name="adversarially trained surrogate",
        what="an entry of `surrogates`: `zoo/a1`, or any with `adversarial: true`; any attack",
        defaults="",
        cost="k",
        needs="a network trained with a small budget",
        paper="Springer 2021",
    ),
)


def rows() -> list[MethodRow]:
    """Return every part, by place and name, and then the methods that are no parts."""
    return [*map(_row, catalogue()), *_OTHERS]


def _row(part: type[Part]) -> MethodRow:
    return MethodRow(
        place=part.place.value,
        name=part.token,
        what=summary(part),
        defaults=", ".join(defaults(part)),
        cost=part.cost,
        needs=needs(part),
        paper=part.__dict__.get("paper", "") if is_own(part) else part.paper,
        text=inspect.cleandoc(part.__doc__ or ""),
        example=in_a_job(part),
        options=tuple(_option_rows(part)),
        origin=origin(part),
    )


def _option_rows(model: type[BaseModel], prefix: str = "") -> Iterator[FieldRow]:
    for name, field in model.model_fields.items():
        yield field_row(f"{prefix}{name}", field)
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _option_rows(inner, f"{prefix}{name}.")


def summary(part: type[Part]) -> str:
    """Return the first line of a part's documentation."""
    return inspect.cleandoc(part.__doc__ or "").split("\n\n")[0].replace("``", "`")


def needs(part: type[Part]) -> str:
    """Return what a part cannot do without; empty if nothing."""
    tasks = getattr(part, "tasks", frozenset(Task))
    task = [_EMBEDDINGS if task.embeds else task.value for task in tasks] if len(tasks) == 1 else []
    return "; ".join([*task, *([part.needs] if part.needs else [])])


def defaults(part: type[Part]) -> list[str]:
    """Return ``name=default`` of each option, as a job would write the default."""
    try:
        built: BaseModel | None = part()
    except ValidationError:  # an option without a default
        built = None
    return _assignments(part, built)


def _assignments(model: type[BaseModel], built: BaseModel | None, prefix: str = "") -> list[str]:
    found = []
    for name, field in model.model_fields.items():
        # A model may fill in defaults that depend on each other, such as those of `di`.
        value = field.get_default(call_default_factory=True)
        value = value if built is None else getattr(built, name)
        if isinstance(value, BaseModel):
            found += _assignments(type(value), value, f"{prefix}{name}.")
        elif field.is_required():
            found.append(f"{prefix}{name}=(required)")
        elif value is None:
            found.append(f"{prefix}{name}={OPEN}")
        else:
            found.append(f"{prefix}{name}={_short(field, value)}")
    return found


def _short(field: FieldInfo, value: object) -> str:
    if value == {}:
        return "{}"
    if isinstance(value, float) and not is_quantity(field):
        return f"{value:g}"
    return default_words(field, value).strip("`")


def in_a_job(part: type[Part]) -> str:
    """Return an entry of `attacks` that uses a part, with its first options, as YAML."""
    options = _options(part)
    for fields in attacks_with(part):
        entry = fields | ({"options": {part.token: options}} if options else {})
        try:
            Attack.model_validate(entry)
        except ValidationError:
            continue
        text = yaml.safe_dump(entry, default_flow_style=True, sort_keys=False, width=1000)
        return f"- {text.strip()}"
    raise ValueError(f"there is no attack with {part.token!r} and its default options")


def _options(part: type[Part]) -> dict[str, Any]:
    """Return two options with plain defaults, rather the part's own than those it shares."""
    found: dict[str, Any] = {}
    own = [name for name in part.model_fields if name in part.__annotations__]
    for name in dict.fromkeys([*own, *part.model_fields]):
        field = part.model_fields[name]
        value = field.get_default(call_default_factory=True)
        if isinstance(value, str | bool | int | float) and len(found) < 2:
            quantity = isinstance(value, float) and is_quantity(field)
            found[name] = default_words(field, value).strip("`") if quantity else value
    return found
