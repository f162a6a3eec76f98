"""What the catalogue says of each part, for the terminal and for the page."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from gauntlet.jobs.reference.job_page import default_words, is_quantity
from gauntlet.pipeline.attacks.part import Part, Place, catalogue
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Task

OPEN = "…"
"""Stands for a default that is found from the network or the other options."""
PLACES: dict[Place | None, str] = {
    Place.START: "Start: in `base`",
    Place.VIEW: "View, what a surrogate sees instead of the image: in `base`",
    Place.SURGERY: "Surgery, how a surrogate computes or back-propagates: in `base`",
    Place.OBJECTIVE: "Objective, what is raised: `objective`",
    Place.PENALTY: "Penalty, what the objective is lessened by: in `base`",
    Place.FILTER: "Gradient filter: in `base`",
    Place.COMBINE: "Combination rule, how k surrogates' gradients become one direction: `combine`",
    Place.POINT: "Query point, where surrogates are asked: in `base`",
    Place.UPDATE: "Update, how a direction becomes a step: in `base`",
    None: "Methods that are not parts",
}
"""The heading of each place, with the attack's field that names its parts."""


@dataclass(frozen=True)
class Row:
    """One part in the catalogue.

    Attributes:
        place: where in the loop it acts; None for a method that is no part.
        name: what people write.
        what: what it does, in a sentence.
        defaults: its options with their defaults, such as ``m=20, sigma=15/255``.
        cost: forward + backward passes per update for k surrogates.
        needs: what it cannot do without; empty if nothing.
        paper: who proposed it.
    """

    place: Place | None
    name: str
    what: str
    defaults: str
    cost: str
    needs: str
    paper: str


_OTHERS = (
    Row(None, "PGD-linf", "`base: pgd`, `norm: linf`", "epsilon=8/255", "k", "", "Madry 2018"),
    Row(
        None,
        "PGD-l2",
        "`base: pgd`, `norm: l2`; epsilon is per pixel, times sqrt(3HW)",
        "epsilon=8/255, epsilon_unit=rms, normalise=l2rms",
        "k",
        "",
        "Madry 2018",
    ),
    Row(
        None,
        "adversarially trained surrogate",
        "an entry of `surrogates`: `zoo/a1`, or any with `adversarial: true`; any attack",
        "",
        "k",
        "a network trained with a small budget",
        "Springer 2021",
    ),
)


def rows() -> list[Row]:
    """Return every part, by place and name, and then the methods that are no parts."""
    parts = [
        Row(
            part.place,
            part.token,
            summary(part),
            ", ".join(defaults(part)),
            part.cost,
            needs(part),
            part.paper,
        )
        for part in catalogue()
    ]
    return [*parts, *_OTHERS]


def summary(part: type[Part]) -> str:
    """Return the first line of a part's documentation."""
    return inspect.cleandoc(part.__doc__ or "").split("\n\n")[0].replace("``", "`")


def needs(part: type[Part]) -> str:
    """Return what a part cannot do without; empty if nothing."""
    tasks = getattr(part, "tasks", frozenset(Task))
    task = [task.value for task in tasks] if len(tasks) == 1 else []
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
    for fields in _uses(part):
        entry = fields | ({"options": {part.token: options}} if options else {})
        try:
            Attack.model_validate(entry)
        except ValidationError:
            continue
        text = yaml.safe_dump(entry, default_flow_style=True, sort_keys=False, width=1000)
        return f"- {text.strip()}"
    raise ValueError(f"there is no attack with {part.token!r} and its default options")


def _uses(part: type[Part]) -> list[dict[str, Any]]:
    """Return attacks that use a part, the simplest first; not all need be possible."""
    token = part.token
    if part.place is Place.COMBINE:
        return [{"base": "mi", "combine": rule} for rule in (token, f"{token}/imtlg")]
    if part.place is Place.OBJECTIVE:
        return [{"base": "mi", "objective": token}]
    alone = part.place in (Place.UPDATE, Place.START)
    simple = {"base": token if alone else f"{token}-mi"}
    return [simple, {"base": f"pgd-{token}"}, {"base": token, "norm": "l2"}]


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
