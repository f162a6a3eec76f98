"""Labelled image files: by class folders, or by a file of labels."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from pydantic import field_validator

from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.data.class_folders import Layout
from gauntlet.pipeline.data.class_map import ClassMap, read_class_map
from gauntlet.pipeline.data.found import Found
from gauntlet.pipeline.data.label_file import read_label_file
from gauntlet.pipeline.data.listing import Listing
from gauntlet.pipeline.data.sources.labelled import Numbered, in_class_folders, listing_of
from gauntlet.pipeline.data.sources.source import Size, register
from gauntlet.pipeline.data.stores import FileImages, one_size
from gauntlet.pipeline.files import expanded


@register
class Folder(Numbered):
    """Labelled image files. Links are followed; hidden files and what systems leave behind
    (`__MACOSX`, `Thumbs.db`) are passed over."""

    paths: ClassVar[tuple[str, ...]] = ("root", "labels", "classes", "ids")
    source: Literal["folder"]
    """Kind of source."""
    root: str
    """The folder; without `labels`, each of its sub-folders is a class: its name if that is a
    number, ImageNet's label if it is a synset of 1,000 classes, or its place in sorted order."""
    labels: str | None = None
    """CSV `file,label`, or `file,label,wanted` with the class that a targeted attacker wants: paths
    below `root`, and classes as whole numbers, as synsets of ImageNet, or as names in `classes`.
    Published spellings are known (`filename,label,targeted_label`; `ImageId,TrueLabel,TargetClass`;
    `ImageId,PredictionString`, of which the first word counts), other columns passed over."""
    size: Size | None = None
    """Height and width to resize to (bilinear, antialiased); by default all must have one size."""
    classes: int | str | None = None
    """Number of classes; by default the number of sub-folders, or highest label + 1. Needed where
    a class has an empty sub-folder. Or a file that names all classes in the order of labels: a
    name a line, or JSON (a list, `{name: label}`, `{label: name}`)."""

    @field_validator("classes")
    @classmethod
    def _several(cls, value: int | str | None) -> int | str | None:
        if isinstance(value, int) and value < 2:
            raise ValueError(f"{value} is no number of classes: expected 2 or more, or a file")
        return value

    def image_size(self, base: Path) -> tuple[int, int] | None:
        """What the images are resized to, if they are."""
        return self.size

    def labelled(self, goal: Goal, base: Path, found: Found) -> Listing | None:
        """Read the folder, or the file of labels."""
        root = base / expanded(self.root)
        if not root.is_dir():
            found.add("data.root", f"no such folder: {root}")
            return None
        class_map: ClassMap | None = None
        classes = self.classes
        if isinstance(classes, str):
            class_map = read_class_map(base / expanded(classes), classes, found)
            if class_map is None:
                return None
            classes = len(class_map.names)
        if self.labels is None:
            layout = Layout(root, self.root, classes, self.labels_from, class_map=class_map)
            return in_class_folders(layout, lambda names: one_size(root, names, self.size), found)
        targeted = self.takes_listed(goal)
        read = read_label_file(
            self.labels, base, root, self.labels_from, targeted, found, class_map
        )
        if not read.names:
            if not found:
                found.add("data.root", f"no image files: {root}")
            return None
        return listing_of(
            FileImages(root, tuple(read.names), one_size(root, read.names, self.size)),
            np.asarray(read.labels, dtype=np.int64),
            classes,
            read.places,
            found,
            class_map.names if class_map else (),
            wanted=None if read.wanted is None else np.asarray(read.wanted, dtype=np.int64),
        )
