"""Class maps: which label each class has by its name, as files that go with networks list them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gauntlet.pipeline.data.account import first_names
from gauntlet.pipeline.data.found import Found
from gauntlet.pipeline.data.known_classes import is_synset
from gauntlet.pipeline.data.text_file import read_text

_FORMS = "one class a line in the order of labels, or JSON: a list, {name: label} or {label: name}"


@dataclass(frozen=True)
class ClassMap:
    """The classes of a network.

    Attributes:
        name: what to call the file: as the job has it.
        names: name of each class, in the order of labels.
        labels: label of each name, other names of a class among them.
    """

    name: str
    names: tuple[str, ...]
    labels: dict[str, int]

    def unknown(self, names: Sequence[str], what: str) -> str | None:
        """Return which of some names are no classes, in words, or None where all are.

        Args:
            names: the names.
            what: what they are called: ``class folders``.
        """
        missing = [name for name in names if name not in self.labels]
        if not missing:
            return None
        has = f"{len(missing)} {what} are not in {self.name} ({first_names(missing)})"
        return f"{has}, which has {len(self.names)} classes ({first_names(self.names)})"


def read_class_map(path: Path, name: str, found: Found) -> ClassMap | None:
    """Read a class map.

    Known forms: lines in the order of labels, where a synset may stand before words (``n01440764
    tench, Tinca tinca``, as ImageNet's lists have it); JSON lists; ``{"tench": 0}``; ``{"0":
    "tench"}`` and ``{"0": ["n01440764", "tench"]}`` (Keras's ``imagenet_class_index.json``).

    Args:
        path: the file.
        name: what to call it in problems: as the job has it.
        found: takes what is wrong.
    """
    text = read_text(path, name, "data.classes", found)
    if text is None:
        return None
    try:
        entries = _from_json(json.loads(text)) if text.lstrip()[:1] in ("{", "[") else _lines(text)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        found.add("data.classes", f"{name} is no class map: {error}; expected {_FORMS}")
        return None
    labels: dict[str, int] = {}
    for label, aliases in enumerate(entries):
        for alias in aliases:
            if labels.setdefault(alias, label) != label and alias == aliases[0]:
                found.add("data.classes", f"{name}: {alias!r} is class {labels[alias]} and {label}")
                return None
    if len(entries) < 2:
        found.add("data.classes", f"{name} has {len(entries)} classes; expected {_FORMS}")
        return None
    return ClassMap(name, tuple(aliases[0] for aliases in entries), labels)


def _lines(text: str) -> list[list[str]]:
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    entries = []
    for line in lines:
        first, _, rest = line.partition(" ")
        entries.append([first, rest.strip()] if is_synset(first) and rest else [line])
    return entries


def _from_json(content: Any) -> list[list[str]]:
    if isinstance(content, list):
        return [_aliases(entry) for entry in content]
    if all(isinstance(value, int) and not isinstance(value, bool) for value in content.values()):
        content = {str(label): name for name, label in content.items()}
    by_label = {int(label): _aliases(entry) for label, entry in content.items()}
    if sorted(by_label) != list(range(len(by_label))):
        raise ValueError(f"its {len(content)} labels are not 0 to {len(content) - 1}")
    return [by_label[label] for label in range(len(by_label))]


def _aliases(entry: Any) -> list[str]:
    names = entry if isinstance(entry, list) else [entry]
    if not names or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{entry!r} is no name of a class")
    return names
