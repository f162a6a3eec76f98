"""Parts: the choices that make up an attack, and the catalogue of them.

The loop (`pipeline/attacks/loop.py`) exists once. A method is a part at one of its places: a short
file in this package that defines one subclass and registers it::

    @register
    class Shrink(View):
        '''x -> 0.9 x (Somebody 2026, Eq. 3).'''

        token = "shrink"
        paper = "Somebody 2026"

Every module of this package is imported by the catalogue, so a new file needs no other edit.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Literal, TypeVar

from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.discovery import import_all
from gauntlet.pipeline.norms import Normaliser
from gauntlet.pipeline.problems import suggest
from gauntlet.pipeline.spec import Written


class Place(StrEnum):
    """Where in the loop a part acts."""

    START = "start"
    VIEW = "view"
    SURGERY = "surgery"
    OBJECTIVE = "objective"
    PENALTY = "penalty"
    FILTER = "gradient filter"
    COMBINE = "combine"
    POINT = "query point"
    UPDATE = "update"

    @property
    def field(self) -> str:
        """The field of an attack that names its parts."""
        return self.value if self in (Place.COMBINE, Place.OBJECTIVE) else "base"


class Part(Written):
    """One choice at one place of the loop; its fields are the method's parameters.

    Attributes:
        token: the name that people write (``di`` in ``di-ti-mi``).
        place: where it acts.
        paper: who proposed it.
        cost: forward + backward passes per update for k surrogates.
        needs: what it cannot do without, in words for the catalogue.
        twice: whether it differentiates a surrogate twice, which float16 cannot.
        fusable: whether it works on outputs that are fused from several surrogates'.
    """

    token: ClassVar[str]
    place: ClassVar[Place]
    paper: ClassVar[str]
    cost: ClassVar[str] = "k"
    needs: ClassVar[str] = ""
    twice: ClassVar[bool] = False
    fusable: ClassVar[bool] = True

    def objection(self, choice: Choice, goal: Goal | None) -> str | None:
        """Return why the part cannot take part in an attack, or None.

        Args:
            choice: the rest of the attack, its fields already valid one by one.
            goal: what the attacker wants; None as long as no job has said so.
        """
        return None

    def needs_references(self, goal: Goal) -> bool:
        """Return whether it looks at an image of each wanted class, ``references`` of a batch."""
        return False


@dataclass(frozen=True)
class Choice:
    """What is chosen for an attack, as far as a part may object to it.

    Attributes:
        norm: which ball.
        normaliser: what stands before alpha.
        given: fields of the attack that were written, such as ``step_size``.
        parts: all parts: the named ones, the rule and the update.
    """

    norm: Literal["linf", "l2"]
    normaliser: Normaliser
    given: frozenset[str]
    parts: tuple[Part, ...]

    def has(self, place: Place) -> bool:
        """Return whether a part acts at a place."""
        return any(part.place is place for part in self.parts)

    @property
    def objective(self) -> Part | None:
        """The objective that is named; None for the goal's own."""
        return next((part for part in self.parts if part.place is Place.OBJECTIVE), None)


PartType = TypeVar("PartType", bound=type[Part])
_catalogue: dict[tuple[bool, str], type[Part]] = {}


def register(part: PartType) -> PartType:
    """Enter a part into the catalogue under its token (class decorator)."""
    key = (part.place.field != "base", part.token)
    if key in _catalogue and _catalogue[key].__qualname__ != part.__qualname__:
        places = f"{_catalogue[key].__module__} and {part.__module__}"
        raise ValueError(f"two parts claim the token {part.token!r}: {places}")
    _catalogue[key] = part
    return part


def catalogue() -> list[type[Part]]:
    """Return every registered part, by place and token."""
    import_all("gauntlet.pipeline.attacks")
    order = list(Place)
    return sorted(_catalogue.values(), key=lambda part: (order.index(part.place), part.token))


def find(token: str, *places: Place) -> type[Part]:
    """Return the part called ``token`` that acts at one of ``places``.

    Raises:
        ValueError: when there is none; the message suggests near names.
    """
    known = {part.token: part for part in catalogue() if part.place in places}
    if token not in known:
        for part in catalogue():
            if part.token == token:
                field = part.place.field
                raise ValueError(f"{token!r} belongs to `{field}`: write `{field}: {token}`")
        noun = {Place.COMBINE: "combination rule", Place.OBJECTIVE: "objective"}
        raise ValueError(suggest(token, sorted(known), noun.get(places[0], "attack part")))
    return known[token]
