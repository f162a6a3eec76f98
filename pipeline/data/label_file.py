"""Label files: which class each image shows, and which one an attacker wants of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gauntlet.pipeline.data.class_map import ClassMap
from gauntlet.pipeline.data.csv_table import Header, Table, read_table, whole_number
from gauntlet.pipeline.data.found import Found
from gauntlet.pipeline.data.known_classes import imagenet_labels, is_synset
from gauntlet.pipeline.data.lookup import find_files, report_missing
from gauntlet.pipeline.files import expanded

_PLAIN: Header = ("file", "label")
_TARGETED: Header = ("file", "label", "wanted")
_FROM_ONE = frozenset({"truelabel"})
"""Label columns, in lower case, of published tables that count classes from 1: that of the NIPS
2017 competition on adversarial attacks, whose networks had class 0 for the background."""


@dataclass(frozen=True)
class LabelFile:
    """The rows of a label file that can be used.

    Attributes:
        names: the images, paths below the root.
        labels: class of each, from 0.
        wanted: the class that the attacker wants of each, from 0; None without such a column.
        places: line of each, ``labels.csv:17``.
    """

    names: list[str]
    labels: list[int]
    wanted: list[int] | None
    places: list[str]


def read_label_file(
    name: str,
    base: Path,
    root: Path,
    labels_from: int | None,
    targeted: bool,
    found: Found,
    class_map: ClassMap | None = None,
) -> LabelFile:
    """Read a label file.

    Args:
        name: the file, as the job has it.
        base: folder that relative paths start from.
        root: folder of the images.
        labels_from: number of the first class; by default 0, or what a published format has.
        targeted: whether wanted classes have a use.
        found: takes what is wrong, and how the file was read.
        class_map: labels of classes that are named by words; ImageNet's synsets need none.
    """
    path = base / expanded(name)
    table = read_table(path, name, "data.labels", [_PLAIN, _TARGETED], found, _headless)
    if table is None:
        return LabelFile([], [], None, [])
    first = _first(table, name, labels_from, found)
    with_wanted = targeted and table.header == _TARGETED
    named = find_files([row.cells[0] for row in table.rows], root, name, found)
    result = LabelFile([], [], [] if with_wanted else None, [])
    seen: set[str] = set()
    for row in table.rows:
        cell, *numbers = row.cells
        label = _class(numbers[0], "label", first, row.where, class_map, found)
        wanted: int | None = 0
        if with_wanted:
            wanted = _class(numbers[1], "wanted class", first, row.where, class_map, found)
        if label is None or wanted is None:
            continue
        file = named.files.get(cell)
        if file is None:
            report_missing(named, cell, row.where, root, "data.root", "{} lines", found)
        elif file in seen:
            found.add(row.where, f"{cell!r} is named twice")
        elif with_wanted and wanted == label:
            found.add(row.where, "the wanted class is the true one", "{} such lines")
        else:
            seen.add(file)
            result.names.append(file)
            result.labels.append(label)
            result.places.append(row.where)
            if result.wanted is not None:
                result.wanted.append(wanted)
    return result


def _headless(cells: Header) -> Header | None:
    two = len(cells) == len(_PLAIN) and whole_number(cells[0]) is None
    return _PLAIN if two and (whole_number(cells[1]) is not None or is_synset(cells[1])) else None


def _first(table: Table, name: str, given: int | None, found: Found) -> int:
    """Return the number of the first class."""
    published = int(table.spelled[1].lower() in _FROM_ONE)
    first = published if given is None else given
    columns = ", ".join(table.spelled)
    if table.spelled != table.header or first:
        why = "" if given is not None or not published else " (as the 2017 competition has it)"
        found.note(f"{name}: columns {columns}; classes count from {first}{why}")
    return first


def _class(
    text: str, what: str, first: int, where: str, class_map: ClassMap | None, found: Found
) -> int | None:
    if class_map is not None or is_synset(text[:9]):
        known = class_map.labels if class_map is not None else imagenet_labels()
        for word in (text, text.split(" ", 1)[0]):  # boxes may stand behind a synset
            if word in known:
                return known[word]
    number = whole_number(text)
    if number is None and class_map is not None:
        found.add(where, f"{what} {text!r} is no class of {class_map.name}", "{} such lines")
        return None
    if number is None:
        count = f"{first}, {first + 1}, ..."
        found.add(where, f"{what} {text!r} is no class number {count}", "{} such lines")
        return None
    if number < first:
        found.add(
            where,
            f"{what} {number}, but classes count from {first}; if class 0 is one of the network's, "
            "such as a background class, set `labels_from: 0`",
            "{} such lines",
        )
        return None
    return number - first
