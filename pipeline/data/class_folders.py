"""Folders as classes: which label each sub-folder has."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gauntlet.pipeline.data.account import first_names
from gauntlet.pipeline.data.class_map import ClassMap
from gauntlet.pipeline.data.csv_table import whole_number
from gauntlet.pipeline.data.found import Found
from gauntlet.pipeline.data.known_classes import (
    IMAGENET,
    imagenet_labels,
    imagenet_synsets,
    is_synset,
    too_many,
)
from gauntlet.pipeline.data.tree import Tree, note_left_out, read_tree


@dataclass(frozen=True)
class Layout:
    """What a job says about its class folders.

    Attributes:
        root: the folder that holds them.
        given: the same as the job has it.
        classes: number of classes, if the job or the source states it.
        labels_from: number of the folder of class 0 among folders that are numbered, if stated.
        imagenet: whether the classes are ImageNet's.
        class_map: the labels of the folders by their names, if the job names a file of them.
    """

    root: Path
    given: str
    classes: int | None
    labels_from: int | None
    imagenet: bool = False
    class_map: ClassMap | None = None


@dataclass(frozen=True)
class Labelling:
    """The images of class folders.

    Attributes:
        names: the images, paths below the root.
        labels: the class of each.
        classes: number of classes.
        class_names: name of each class, empty where there is none.
    """

    names: list[str]
    labels: list[int]
    classes: int
    class_names: tuple[str, ...]


def class_folders(layout: Layout, found: Found) -> Labelling | None:
    """Return the images below a folder, each with the label of its sub-folder.

    A class map has the label of each name. Without one, folders that are whole numbers are the
    labels themselves (1 to K, and nothing else, count from
    1). Synsets have ImageNet's labels where there are a thousand classes. All others have their
    place in sorted order as label; then an empty folder counts only where the number of classes is
    known. Hidden folders, and what systems leave behind, are no classes.

    Args:
        layout: what the job says.
        found: takes what is wrong, what is left out, and how the folders were read.

    Returns:
        None when no label is certain.
    """
    tree = read_tree(layout.root)
    note_left_out((name for name in tree.others if "/" in name), found)
    found.leave_out("in no class folder", (name for name in tree.images if "/" not in name))
    found.leave_out("links that lead nowhere", tree.dangling)
    found.leave_out("links into a folder that holds them", tree.circular)
    images = [name for name in tree.images if "/" in name]
    if not images:
        _report_nothing(layout, tree, found)
        return None
    if _one_level_too_many(layout, images, found):
        return None
    if layout.class_map is not None:
        return _by_map(layout.class_map, images, found)
    label_of = _labels(layout, tree.folders, _top(images), found)
    if label_of is None:
        return None
    labels = [label_of[name.split("/", 1)[0]] for name in images]
    classes = layout.classes or max(label_of.values()) + 1
    if what := too_many(classes):
        found.add(
            "data.classes" if layout.classes else "data.root", f"{what}, or name them by words"
        )
        return None
    return Labelling(images, labels, classes, _class_names(layout, label_of, classes))


def _top(images: Sequence[str]) -> list[str]:
    """Return the sub-folders that hold images, sorted."""
    return sorted({name.split("/", 1)[0] for name in images})


def _by_map(class_map: ClassMap, images: list[str], found: Found) -> Labelling | None:
    if unknown := class_map.unknown(_top(images), "class folders"):
        found.add("data.classes", unknown)
        return None
    labels = [class_map.labels[name.split("/", 1)[0]] for name in images]
    return Labelling(images, labels, len(class_map.names), class_map.names)


def _report_nothing(layout: Layout, tree: Tree, found: Found) -> None:
    what = f"no image files in class sub-folders; name the classes with `labels`: {layout.root}"
    if tree.images:
        what += f" holds {len(tree.images)} images itself"
    elif found.left_out:
        what += f"; left out: {'; '.join(map(str, found.left_out))}"
    found.add("data.root", what)


def _one_level_too_many(layout: Layout, images: Sequence[str], found: Found) -> bool:
    """Report folders of folders, whose labels would be those of `train` and `val`."""
    parents = sorted({posixpath.dirname(name) for name in images})
    shared = posixpath.commonpath(parents)
    if shared:
        inner = _top([parent[len(shared) + 1 :] for parent in parents if parent != shared])
        if shared in parents or len(inner) < 2:
            return False
        found.add(
            "data.root",
            f"one folder level too many: every image is below {layout.root / shared}, which has "
            f"{len(inner)} folders with images ({first_names(inner)}); set `data.root: "
            f"{posixpath.join(layout.given, shared)}`, or name the classes with `labels`",
        )
        return True
    if not all("/" in parent for parent in parents):
        return False
    below: dict[str, set[str]] = defaultdict(set)
    for parent in parents:
        top, inner_name = parent.split("/")[:2]
        below[top].add(inner_name)
    if any(len(names) < 2 for names in below.values()):
        return False  # `class/images/1.png`, as some data sets have it
    common = sorted(set.intersection(*below.values()))
    tops = sorted(below)
    if len(common) > 1:
        found.add(
            "data.root",
            f"one folder level too many: {first_names(tops)} hold folders of the same names "
            f"({first_names(common)}); set `data.root: {posixpath.join(layout.given, tops[-1])}`, "
            "or name the classes with `labels`",
        )
        return True
    found.note(
        f"no image lies in a class folder itself: {tops[0]!r} is one class, though it has "
        f"{len(below[tops[0]])} folders with images"
    )
    return False


def _labels(
    layout: Layout, folders: Sequence[str], full: Sequence[str], found: Found
) -> dict[str, int] | None:
    """Return the label of each class folder, or None with the problem in ``found``."""
    numbered = [name for name in full if whole_number(name) is not None]
    known = [name for name in full if is_synset(name)]
    for alike, kind in ((numbered, "whole numbers"), (known, "synsets")):
        if len(full) // 2 < len(alike) < len(full):
            strange = [name for name in full if name not in alike]
            found.add(
                "data.root",
                f"most class folders of {layout.root} are {kind}, {first_names(strange)} "
                f"{'is' if len(strange) == 1 else 'are'} not: move what is no class elsewhere",
            )
            return None
    if len(numbered) == len(full):
        return _by_number(layout, folders, full, found)
    if layout.labels_from is not None:
        found.add(
            "data.labels_from",
            "has no effect on class folders with names, whose labels are their places: remove it",
        )
    thousand = IMAGENET in (layout.classes, len(folders), len(full))
    if len(known) == len(full) and thousand and layout.classes in (None, IMAGENET):
        return _by_synset(layout, folders, full, found)
    return _by_place(layout, folders, full, found)


def _by_number(
    layout: Layout, folders: Sequence[str], full: Sequence[str], found: Found
) -> dict[str, int] | None:
    values = {name: number for name in folders if (number := whole_number(name)) is not None}
    names: dict[int, str] = {}
    for name, value in values.items():
        if value in names:
            found.add("data.root", f"folders {names[value]!r} and {name!r} are one class, {value}")
            return None
        names[value] = name
    _note_foreign(folders, values, "no whole number", found)
    first = layout.labels_from
    count = len(values)
    if first is None:
        from_one = min(names) == 1 and max(names) == count and layout.classes in (None, count)
        first = int(from_one)
        if from_one:
            found.note(
                f"class folders are numbered 1 to {count}: {names[1]!r} is class 0 (if it is class "
                "1, set `labels_from: 0`)"
            )
    labels = {name: value - first for name, value in values.items()}
    below = [name for name in full if labels[name] < 0]
    if below:
        found.add("data.root", f"folder {below[0]!r}, but `labels_from` is {first}")
        return None
    _note_empty(labels, full, found)
    return labels


def _by_synset(
    layout: Layout, folders: Sequence[str], full: Sequence[str], found: Found
) -> dict[str, int] | None:
    known = imagenet_labels()
    unknown = [name for name in full if name not in known]
    if unknown:
        found.add(
            "data.root",
            f"{len(unknown)} class folders are no synset of ImageNet's {IMAGENET:,}: "
            f"{first_names(unknown)}",
        )
        return None
    labels = {name: known[name] for name in folders if name in known}
    if len(full) < IMAGENET:
        found.note(f"{len(full)} of ImageNet's {IMAGENET:,} synsets have images, with its labels")
    _note_foreign(folders, labels, "no synset", found)
    _note_empty(labels, full, found)
    return labels


def _by_place(
    layout: Layout, folders: Sequence[str], full: Sequence[str], found: Found
) -> dict[str, int] | None:
    """Return places in sorted order, if it is certain which folders are classes."""
    stated = layout.classes
    empty = sorted(set(folders) - set(full))
    if stated is not None and stated in (len(full), len(folders)):
        counted = full if stated == len(full) else folders
    elif not empty and (stated is None or (len(full) < stated and not layout.imagenet)):
        counted = full
    else:
        _report_count(layout, len(folders), empty, found)
        return None
    labels = {name: place for place, name in enumerate(counted)}
    _note_foreign(folders, labels, "no class", found)
    _note_empty(labels, full, found)
    if all(map(is_synset, full)) and stated is None:
        found.note(
            f"{len(full)} synsets have the labels 0 to {len(full) - 1} in sorted order; for "
            f"ImageNet's own labels set `classes: {IMAGENET}`"
        )
    return labels


def _report_count(layout: Layout, count: int, empty: Sequence[str], found: Found) -> None:
    one = len(empty) == 1
    if layout.classes is None:
        what = (
            f"{len(empty)} class {'folder holds' if one else 'folders hold'} no image "
            f"({first_names(empty)}), and the labels of all behind depend on it: remove "
            f"{'it' if one else 'them'}, or state `classes` ({count} with, {count - len(empty)} "
            "without)"
        )
    else:
        holding = f", {len(empty)} of them empty ({first_names(empty)})" if empty else ""
        what = (
            f"{layout.root} has {count} class folders{holding}, expected {layout.classes}: labels "
            "are places in the sorted list of all classes; keep empty folders for classes without "
            "images"
        )
    found.add("data.root", what)


def _note_foreign(folders: Sequence[str], labels: dict[str, int], what: str, found: Found) -> None:
    """Say which empty folders are no classes; all that hold images have a label."""
    foreign = [name for name in folders if name not in labels]
    if foreign:
        found.note(f"{_folders(foreign)} without images and {what}, not counted as a class")


def _note_empty(labels: dict[str, int], full: Sequence[str], found: Found) -> None:
    empty = sorted(set(labels) - set(full))
    if empty:
        found.note(f"{_folders(empty)} without images, counted as a class")


def _folders(names: Sequence[str]) -> str:
    return f"{len(names)} {'folder' if len(names) == 1 else 'folders'} ({first_names(names)})"


def _class_names(layout: Layout, labels: dict[str, int], classes: int) -> tuple[str, ...]:
    if layout.imagenet and classes == IMAGENET and whole_number(min(labels)) is not None:
        return imagenet_synsets()
    names = [""] * classes
    for name, label in labels.items():
        if label < classes:
            names[label] = name
    return tuple(names)
