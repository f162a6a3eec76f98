"""Labelled images of a data set in the person's own code: torch's, or anything like it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.data.decoding import Fit, Pixels, Undecodable
from gauntlet.pipeline.data.found import Found
from gauntlet.pipeline.data.items import pixels
from gauntlet.pipeline.data.listing import Listing
from gauntlet.pipeline.data.own_dataset import OwnDataset, Recipe
from gauntlet.pipeline.data.sources.labelled import Numbered, listing_of
from gauntlet.pipeline.data.sources.source import Size, register
from gauntlet.pipeline.data.stores import ImageStore, numbered
from gauntlet.pipeline.problems import BadInput, Problem

_AGAIN = 5
"""How often two items are asked for again: a coin that flips images shows in 999 cases of 1,000."""


@register
class Imported(Numbered):
    """A map-style data set (`torch.utils.data.Dataset`, torchvision's) that your own code makes:
    from where `import:` models may run it. Its items are (image, label): a PIL image, an array
    (H, W, 3) or a tensor (3, H, W), of uint8 or of floats in [0, 1] that are 8-bit, as `ToTensor`
    makes them; no normalisation, and nothing random."""

    source: Literal["import"]
    """Kind of source."""
    factory: str
    """`package.module:function`, which returns the data set, or a class of data sets: beside the
    job file, in the working directory, or where `--allow-imports` says. It is called once in every
    process that reads images, and an item is decoded when its turn comes."""
    options: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """Keyword arguments of the factory. Paths among them are its own affair: write whole ones."""
    size: Size | None = None
    """Height and width to resize to (bilinear, antialiased); by default all must have one size."""
    classes: int | None = Field(None, ge=2)
    """Number of classes; by default the length of the data set's `classes`, or highest label + 1.
    Labels are its `targets` (or `labels`), else every item is asked for once."""

    @property
    def recipe(self) -> Recipe:
        """How the data set is made."""
        return Recipe.of(self.factory, self.options)

    def image_size(self, base: Path) -> tuple[int, int] | None:
        """What the images are resized to, if they are."""
        return self.size

    def own_code(self) -> tuple[Path, ...]:
        """The file of the factory's module."""
        file = self.recipe.file(Path())
        return () if file is None else (file,)

    def labelled(self, goal: Goal, base: Path, found: Found) -> Listing | None:
        """Make the data set, and read its labels; images wait."""
        try:
            self.recipe.file(base)
            dataset = self.recipe.made()
            labels = dataset.labels
            fit = self._fit(dataset)
        except BadInput as error:
            for problem in error.problems:
                found.add("data.factory", problem.what)
            return None
        found.note(f"{self.factory}: ran {dataset.where}")
        if dataset.targets is None:
            found.note(f"{self.factory} has no `targets`: every item was asked for its label")
        store = DatasetImages(self.recipe, len(labels), self._stem, fit)
        places = [f"{self.factory}: item {index}" for index in range(len(labels))]
        names = dataset.class_names
        classes = self.classes or len(names) or None
        return listing_of(store, labels - self.first_class, classes, places, found, names)

    @property
    def _stem(self) -> str:
        return self.factory.partition(":")[2].replace(".", "-") or self.factory

    def _fit(self, dataset: OwnDataset) -> Fit:
        """Return how images become canonical, once the first and the last item are sound."""
        size = None
        for index in sorted({0, len(dataset) - 1}):
            try:
                image, label = dataset.item(index)
                again = (dataset.item(index)[0] for _ in range(_AGAIN))
                first, *others = (pixels(each, Fit()) for each in (image, *again))
            except Undecodable as error:
                raise _problem(f"item {index} {error}") from error
            if label != (said := dataset.labels[index]):
                raise _problem(f"item {index} has the label {label}, its `targets` say {said}")
            if any(first.shape != o.shape or not (first == o).all() for o in others):
                what = f"item {index} is another image each time: leave what is random out of the "
                raise _problem(f"{what}data set's transform")
            size = size or first.shape[:2]
        if self.size is not None or size is None:
            return Fit(size=self.size)
        return Fit(expect=((size[0], size[1]), f"{self._stem}/0"))


@dataclass(frozen=True)
class DatasetImages(ImageStore):
    """The images of a data set; ``photographs/17`` is the name of the one at index 17.

    Attributes:
        recipe: how a process makes the data set.
        count: number of items.
        stem: what the names start with.
        fit: how an image becomes a canonical one.
    """

    recipe: Recipe
    count: int
    stem: str
    fit: Fit = field(default_factory=Fit)
    may_fail: ClassVar[bool] = True

    @property
    def names(self) -> Sequence[str]:
        """``stem/index``."""
        return numbered(self.stem, self.count)

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Height and width after the fit."""
        return self.fit.image_size

    def read(self, position: int) -> Pixels:
        """Ask for an item, and return its image."""
        return pixels(self.recipe.made().item(position)[0], self.fit)

    def fingerprint(self, positions: Sequence[int]) -> str:
        """Return a hash of the images' pixels."""
        digest = hashlib.blake2b(repr(self.fit).encode(), digest_size=16)
        for position in positions:
            image = self.read(position)
            digest.update(repr(image.shape).encode())
            digest.update(np.ascontiguousarray(image).data)
        return digest.hexdigest()


def _problem(what: str) -> BadInput:
    return BadInput(Problem("", what))
