"""Names of parts, as people write them: ``di-ti-mi`` is three parts of a base."""

from __future__ import annotations

from functools import lru_cache

from gauntlet.pipeline.attacks.part import Part, Place, catalogue, find, generation

_PLACES = tuple(place for place in Place if place.field == "base")
_SINGLE = {Place.START: "start", Place.UPDATE: "update rule", Place.PENALTY: "penalty"}
"""Places that take one part of a base at most, and what it is called."""


def tokens(base: str) -> list[str]:
    """Split a base name such as ``di-ti-mi`` into its parts' tokens (``-`` or ``+``).

    A token may itself contain a dash (``mi+ir-closed``): the longest known one is taken.
    """
    known = {part.token for part in catalogue() if part.place in _PLACES}
    found: list[str] = []
    for piece in base.strip().lower().split("+"):
        words = [word for word in piece.split("-") if word]
        while words:
            ends = range(len(words), 1, -1)
            end = next((end for end in ends if "-".join(words[:end]) in known), 1)
            found.append("-".join(words[:end]))
            words = words[end:]
    return found


def parse(base: str) -> tuple[type[Part], ...]:
    """Return the parts that a base names, in its order.

    Raises:
        ValueError: when it names none, an unknown one, one twice, or two where one can be.
    """
    return _parsed(base, generation())


@lru_cache(maxsize=1024)
def _parsed(base: str, known: int) -> tuple[type[Part], ...]:
    names = tokens(base)
    if not names:
        raise ValueError("an attack needs a base such as 'i' or 'di-ti-mi'")
    parts = tuple(find(name, *_PLACES) for name in names)
    if len(set(names)) != len(names):
        raise ValueError(f"{base!r} names a part twice")
    for place, noun in _SINGLE.items():
        several = [part.token for part in parts if part.place is place]
        if len(several) > 1:
            raise ValueError(f"{base!r} has more than one {noun}: {', '.join(several)}")
    return parts


def named(base: str, combine: str, objective: str | None) -> dict[str, type[Part]]:
    """Return every part that an attack names, by token: its base's, its rule, its objective.

    Raises:
        ValueError: as `parse`, and when the rule or the objective is unknown.
    """
    found = {part.token: part for part in parse(base)}
    rule = find(combine.partition("/")[0], Place.COMBINE)
    found[rule.token] = rule
    if objective is not None:
        found[objective] = find(objective, Place.OBJECTIVE)
    return found
