"""ImageNet's thousand classes: which label each synset has, and what it is called."""

from __future__ import annotations

import re
from functools import lru_cache

IMAGENET = 1000
"""Number of classes of ILSVRC 2012, in the order of their synsets."""

MOST_CLASSES = 1_000_000
"""No classifier has more outputs: larger numbers are dates, or what cameras and shops count."""

_SYNSET = re.compile(r"n\d{8}")


def too_many(classes: int) -> str | None:
    """Return what is wrong with a number of classes that no network has, or None."""
    if classes <= MOST_CLASSES:
        return None
    return (
        f"the highest class would be {classes - 1:,}, and no network has that many outputs: number "
        "the classes 0, 1, 2, ..."
    )


def is_synset(name: str) -> bool:
    """Return whether a name has the form of a WordNet synset, ``n01440764``."""
    return _SYNSET.fullmatch(name) is not None


@lru_cache(maxsize=1)
def imagenet_synsets() -> tuple[str, ...]:
    """Return the synsets in the order of their labels (the list that timm ships)."""
    # Imported late: timm takes seconds, and most sources have no use for the list.
    from timm.data import ImageNetInfo

    return tuple(ImageNetInfo().label_names())


@lru_cache(maxsize=1)
def imagenet_labels() -> dict[str, int]:
    """Return the label of each synset."""
    return {synset: label for label, synset in enumerate(imagenet_synsets())}


@lru_cache(maxsize=1)
def _descriptions() -> dict[str, str]:
    from timm.data import ImageNetInfo

    info = ImageNetInfo()
    return {name: info.label_name_to_description(name) for name in info.label_names()}


def spellings(name: str) -> list[str]:
    """Return what a class is called: the synonyms of a name with commas, and of a synset.

    ``tench, Tinca tinca``, ``n01440764`` and ``n01440764 tench`` are all called tench, too.
    """
    first, _, rest = name.partition(" ")
    if not is_synset(first):
        return [word.strip() for word in name.split(",") if word.strip()]
    described = _descriptions()[first].split(",") if first in imagenet_labels() else rest.split(",")
    return [first, *(word.strip() for word in described if word.strip())]


def title(name: str) -> str:
    """Return a class's name; with its first word in English if it is a synset of ImageNet."""
    if not is_synset(name) or name not in imagenet_labels():
        return name
    return f"{name} {_descriptions()[name].split(',')[0]}"
