"""Parts: the choices that make up an attack, and the catalogue of them.

The loop (`pipeline/attacks/loop.py`) exists once. A method is a part at one of its places: a short
file in this package that defines one subclass and registers it::

    @register
    class Shrink(View):
        '''x -> 0.9 x (Somebody 2026, Eq. 3).'''

        token = "shrink"
        paper = "Somebody 2026"

Every module of this package is imported by the catalogue, so a new file needs no other edit. The
same declaration works outside of it: in a file that a job names, in an installed package, in a
cell of a notebook (`own_parts`, docs/own-parts.md).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
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
        random: whether it may draw random numbers. One that says nothing is taken to: an attack
            whose parts all do not is the same under every seed, and is made once.
    """

    token: ClassVar[str]
    place: ClassVar[Place]
    paper: ClassVar[str] = ""
    cost: ClassVar[str] = "k"
    needs: ClassVar[str] = ""
    twice: ClassVar[bool] = False
    fusable: ClassVar[bool] = True
    random: ClassVar[bool] = True

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


OF_FILES = "own_parts_"
"""Begins the names of modules that are a person's files of parts."""


def register(part: PartType) -> PartType:
    """Enter a part into the catalogue under its token (class decorator).

    Defined again under the same name in the same module, as by a cell that is run again, it takes
    the place of the former one.

    Raises:
        ValueError: when the class cannot be a part, or its token means something else already.
    """
    if is_own(part):
        catalogue()  # before the bundled parts are known no token is known to be taken
        _refuse_declaration(part)
    other = _catalogue.get(_key(part))
    if other is not None and _home(other) != _home(part):
        places = f"{place_of(other)} and {place_of(part)}"
        raise ValueError(f"two parts claim the token {part.token!r}: {places}")
    if other not in (None, part) and part.__module__.startswith(OF_FILES):
        # A cell is run again, a file is not: what was there is forgotten before it is.
        raise ValueError(f"two classes {part.__name__} of one file claim the token {part.token!r}")
    _catalogue[_key(part)] = part
    _changed()
    return part


def forget(parts: Iterable[type[Part]]) -> None:
    """Take parts out of the catalogue again."""
    for part in parts:
        if _catalogue.get(_key(part)) is part:
            del _catalogue[_key(part)]
    _changed()


def generation() -> int:
    """Return a number that changes with the catalogue: what is found in it is kept by it."""
    return _generation[0]


def is_own(part: type[Part]) -> bool:
    """Return whether a part is a person's own, and none of those that come along."""
    return not part.__module__.startswith("gauntlet.")


def place_of(part: type[Part]) -> str:
    """Return ``file:line`` of an own part's class; the module of one that comes along."""
    if not is_own(part):
        return part.__module__
    try:
        return f"{inspect.getsourcefile(part)}:{inspect.getsourcelines(part)[1]}"
    except (OSError, TypeError):  # typed into a Python that keeps no source
        return f"{part.__module__}.{part.__qualname__}"


_generation = [0]
_TOKEN = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def _changed() -> None:
    _generation[0] += 1


def _key(part: type[Part]) -> tuple[bool, str]:
    return part.place.field != "base", part.token


def _home(part: type[Part]) -> tuple[str, str]:
    return part.__module__, part.__qualname__


def _refuse_declaration(part: type[Part]) -> None:
    """Refuse a class that no attack could use, or whose token would change what others mean."""
    name = part.__name__
    for attribute, example in (("token", '"mine"'), ("place", "Place.VIEW")):
        if not hasattr(part, attribute):
            what = "derive it from a kind of part" if attribute == "place" else "give it one"
            raise ValueError(f"{name} has no `{attribute}`: {what} ({attribute} = {example})")
    if missing := sorted(getattr(part, "__abstractmethods__", ())):
        raise ValueError(f"{name} does not define {', '.join(f'`{word}`' for word in missing)}")
    token = part.token
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise ValueError(
            f"{name} has the token {token!r}: expected lower-case letters, digits and single dashes"
        )
    words = token.split("-")
    known = {each for field, each in _catalogue if not field}
    if len(words) > 1 and part.place.field == "base" and known.issuperset(words):
        means = " with ".join(words)
        raise ValueError(f"{name} has the token {token!r}, which already means {means}")


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
