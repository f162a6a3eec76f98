"""Names of classes, of data and of networks: whether both mean the same by a label."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from gauntlet.pipeline.data.account import first_names
from gauntlet.pipeline.data.csv_table import whole_number
from gauntlet.pipeline.data.known_classes import spellings

_TOLD = 3
"""Labels that are told."""


def disagreement(names: Sequence[str], others: Sequence[str]) -> str | None:
    """Return where a network's classes are others than those of the data, in words.

    Synsets of ImageNet are all of their words. Names agree when one of their spellings is the same,
    in any letter case, or has but words added (``crane``, ``crane bird``). Folders that are numbers
    say nothing.

    Args:
        names: of the data's classes by label; empty where there is none.
        others: of the network's classes by label.

    Returns:
        None where they agree, or where nothing can be compared.
    """
    ours = {
        label: _spelled(name)
        for label, name in enumerate(names[: len(others)])
        if name and whole_number(name) is None
    }
    theirs = [_spelled(name) for name in others]
    differ = [label for label, spelled in ours.items() if not _alike(spelled, theirs[label])]
    if not differ:
        return None
    place = {word: label for label, words in reversed([*enumerate(theirs)]) for word in words}
    elsewhere = {
        label: found
        for label in differ
        if (found := next((place[word] for word in ours[label] if word in place), None)) is not None
    }
    if len(differ) == len(ours) and not elsewhere:
        here = first_names([names[label] for label in differ], len(differ))
        return f"none of the names of the data ({here}) is a class of it ({first_names(others)})"
    told = [
        f"{label} is {names[label]!r} in the data and {others[label]!r} there"
        + (f", which has {names[label]!r} as {elsewhere[label]}" if label in elsewhere else "")
        for label in differ[:_TOLD]
    ]
    more = "; ..." if len(differ) > _TOLD else ""
    return f"{len(differ):,} of {len(ours):,} labels are other classes: {'; '.join(told)}{more}"


def disagreements(names: Sequence[str], models: Mapping[str, Sequence[str]]) -> list[str]:
    """Return a line for all models that have one disagreement with the data.

    Args:
        names: of the data's classes by label.
        models: names of the classes by label, by model; empty where they are not known.
    """
    alike: dict[str, list[str]] = {}
    for model, others in models.items():
        if others and (what := disagreement(names, others)):
            alike.setdefault(what, []).append(model)
    return [f"classes of {first_names(who, len(who))}: {what}" for what, who in alike.items()]


def _spelled(name: str) -> frozenset[str]:
    return frozenset(_words(spelling) for spelling in spellings(name))


def _words(name: str) -> str:
    return " ".join(re.findall(r"[^\W_]+", name.casefold()))


def _alike(ours: Iterable[str], theirs: Iterable[str]) -> bool:
    other = [set(name.split()) for name in theirs]
    return any(
        mine <= each or each <= mine for mine in (set(n.split()) for n in ours) for each in other
    )
