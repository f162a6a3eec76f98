"""Labelled images: what their sources have in common, and classes that an attacker wants."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch

from gauntlet.pipeline.batch import Goal, Task
from gauntlet.pipeline.data.class_folders import Layout, class_folders
from gauntlet.pipeline.data.decoding import Fit
from gauntlet.pipeline.data.found import Found
from gauntlet.pipeline.data.known_classes import too_many
from gauntlet.pipeline.data.listing import Listing, Positions
from gauntlet.pipeline.data.sources.source import DataSource
from gauntlet.pipeline.data.stores import FileImages, ImageStore
from gauntlet.pipeline.draws import Draws


class Labelled(DataSource):
    """What every source of labelled images has in common."""

    task: ClassVar[Task] = Task.CLASSIFICATION

    wanted: Literal["next", "random", "listed"] | None = None
    """Targeted: the class that the attacker wants. `next`: label + 1, modulo the number of classes.
    `random`: another class, drawn by a hash of run seed and example id. `listed`: what the source
    says of each example. By default what the source says, and `next` where it says nothing."""
    references: Literal["gallery"] | None = None
    """Targeted: what the attacker has of the wanted class, for objectives such as `aa`. `gallery`:
    for each example one image of that class out of the whole source, whatever `ids` and `limit`
    leave, drawn by a hash of run seed and example id. By default nothing."""

    @abstractmethod
    def labelled(self, goal: Goal, base: Path, found: Found) -> Listing | None:
        """Return every image in the source with its label; the arguments are those of `read`."""

    def read(self, goal: Goal, base: Path, found: Found) -> Listing | None:
        """Return everything in the source, with the classes that it says are wanted."""
        if goal is not Goal.TARGETED:
            for field in ("wanted", "references"):
                if getattr(self, field) is not None:
                    found.add(f"data.{field}", f"has no effect with goal {goal.value!r}: remove it")
        listing = self.labelled(goal, base, found)
        if listing is not None and listing.wanted is None and self.wanted == "listed":
            what = "the source says of no example which class is wanted"
            found.add("data.wanted", f"{what}: add a column or array `wanted`")
        return listing

    @property
    def has_references(self) -> bool:
        """Whether there is a gallery."""
        return self.references is not None

    def takes_listed(self, goal: Goal) -> bool:
        """Return whether the classes that the source itself says are wanted have a use."""
        return goal is Goal.TARGETED and self.wanted in (None, "listed")

    def aimed(
        self, listing: Listing, whole: Listing, goal: Goal, seed: int, found: Found
    ) -> Listing:
        """Return examples of a targeted attack with the class, and an image, that it wants."""
        if goal is not Goal.TARGETED:
            return replace(listing, wanted=None)
        wanted = self._wanted_classes(listing, seed)
        if self.references == "gallery":
            listing = replace(listing, second=gallery(wanted, listing.ids, whole, seed, found))
        return replace(listing, wanted=wanted)

    def _wanted_classes(self, listing: Listing, seed: int) -> Positions:
        """Return the classes that the attacker wants, (N,), each another than the true one."""
        assert listing.labels is not None, "labelled images have labels"
        assert listing.classes is not None, "labelled images have classes"
        if listing.wanted is not None and self.wanted in (None, "listed"):
            return listing.wanted
        if self.wanted == "random":
            draws = Draws.keyed(seed, listing.ids)
            others = draws.integers("wanted class", 0, listing.classes - 1).numpy()
            return np.asarray(others + (others >= listing.labels), dtype=np.int64)
        return (listing.labels + 1) % listing.classes


class Numbered(Labelled):
    """What sources have in common whose classes people number themselves."""

    labels_from: Literal[0, 1] | None = None
    """Number of the first class in labels, or in the names of class folders. By default 0; 1 where
    the format has it (the column `TrueLabel` of the 2017 competition) or class folders are
    numbered 1 to their count."""

    @property
    def first_class(self) -> int:
        """As the job says, or 0."""
        return self.labels_from or 0

    def numbered_from(self, first: int) -> str | None:
        """Return what to write in the job so that labels count from ``first``."""
        if first == self.first_class:
            return None
        return f"write `labels_from: {first}` in the data"


def gallery(
    wanted: Positions, ids: Sequence[str], whole: Listing, seed: int, found: Found
) -> Positions:
    """Return the place in the store of an image of each example's wanted class, (N,).

    Args:
        wanted: the wanted classes, (N,).
        ids: names of the examples; with the seed they key the draws.
        whole: everything in the source, whichever examples were chosen from it.
        seed: the run's seed.
        found: takes the wanted classes that have no image; their places mean nothing.
    """
    assert whole.labels is not None, "only labelled images have wanted classes"
    draws = Draws.keyed(seed, ids)
    places = np.full(len(ids), -1, dtype=np.int64)
    for label in np.unique(wanted).tolist():
        images = whole.first[whole.labels == label]
        if not len(images):
            found.add("data.references", f"class {label} has no image in the source")
            continue
        rows = np.flatnonzero(wanted == label)
        drawn = draws.rows(torch.from_numpy(rows)).integers("gallery", 0, len(images))
        places[rows] = images[drawn.numpy()]
    return places


def in_class_folders(
    layout: Layout, fit: Callable[[Sequence[str]], Fit], found: Found
) -> Listing | None:
    """Return the images below a folder of class folders.

    Args:
        layout: the folder, and what a job says of its classes.
        fit: from the images' names to how they become canonical ones.
        found: takes what is wrong.
    """
    read = class_folders(layout, found)
    if read is None:
        return None
    return listing_of(
        FileImages(layout.root, tuple(read.names), fit(read.names)),
        np.asarray(read.labels, dtype=np.int64),
        read.classes,
        read.names,
        found,
        read.class_names,
    )


def listing_of(
    store: ImageStore,
    labels: Positions,
    classes: int | None,
    places: list[str],
    found: Found,
    class_names: tuple[str, ...] = (),
    wanted: Positions | None = None,
) -> Listing:
    """Return labelled images as a listing, checked.

    Args:
        store: the N images.
        labels: class of each, from 0, (N,).
        classes: number of classes, if known; by default up to the highest.
        places: where the label of each was read, for problems.
        found: takes classes that there are not, and wanted ones that are the true ones.
        class_names: name of each class, empty where there is none.
        wanted: class that the source says is wanted of each, from 0, (N,).
    """
    if classes is None:
        highest = int(labels.max()) if wanted is None else max(int(labels.max()), int(wanted.max()))
        classes = max(highest + 1, 2)
    if excess := too_many(classes):
        found.add(places[int(labels.argmax())], excess)
    for what, values in (("label", labels), ("wanted class", wanted)):
        if values is not None:
            _check_range(what, values, classes, places, found)
    if wanted is not None and (same := np.flatnonzero(wanted == labels)).size:
        found.add(places[same[0]], f"the wanted class is the true one ({same.size:,} examples)")
    positions = np.arange(len(labels))
    return Listing(store, tuple(store.names), positions, labels, classes, class_names, wanted)


def _check_range(
    what: str, values: Positions, classes: int, places: list[str], found: Found
) -> None:
    """Report classes that do not exist, as one problem."""
    outside = np.flatnonzero((values < 0) | (values >= classes))
    if not outside.size:
        return
    text = f"{what} {values[outside[0]]} is no class, expected 0..{classes - 1}"
    if outside.size > 1:
        text += f"; {outside.size:,} examples have such a {what}"
    if values.min() == 1 and values.max() == classes:
        text += f"; they run from 1 to {classes}: if the first class is 1, set `labels_from: 1`"
    found.add(places[outside[0]], text)
