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

from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, TypeVar

from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.discovery import import_all
from gauntlet.pipeline.problems import suggest
from gauntlet.pipeline.spec import Spec

if TYPE_CHECKING:
    from gauntlet.pipeline.attacks.recipe import Attack


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


class Part(Spec):
    """One choice at one place of the loop; its fields are the method's parameters.

    Attributes:
        token: the name that people write (``di`` in ``di-ti-mi``).
        place: where it acts.
        paper: who proposed it.
        cost: forward + backward passes per update for k surrogates.
        needs: what it cannot do without, in words for the catalogue.
    """

    token: ClassVar[str]
    place: ClassVar[Place]
    paper: ClassVar[str]
    cost: ClassVar[str] = "k"
    needs: ClassVar[str] = ""

    def objection(self, attack: Attack, goal: Goal | None) -> str | None:
        """Return why the part cannot take part in an attack, or None.

        Args:
            attack: the attack, its fields already valid one by one.
            goal: what the attacker wants; None as long as no job has said so.
        """
        return None


PartType = TypeVar("PartType", bound=type[Part])
_catalogue: dict[tuple[bool, str], type[Part]] = {}


# All other tokens share the base name.
_FIELDS = {Place.COMBINE: "combine", Place.OBJECTIVE: "objective"}


def register(part: PartType) -> PartType:
    """Enter a part into the catalogue under its token (class decorator)."""
    key = (part.place in _FIELDS, part.token)
    if key in _catalogue and _catalogue[key].__qualname__ != part.__qualname__:
        raise ValueError(f"two parts claim the token {part.token!r}")
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
                field = _FIELDS.get(part.place, "base")
                raise ValueError(f"{token!r} belongs to `{field}`: write `{field}: {token}`")
        noun = {Place.COMBINE: "combination rule", Place.OBJECTIVE: "objective"}
        raise ValueError(suggest(token, sorted(known), noun.get(places[0], "attack part")))
    return known[token]
