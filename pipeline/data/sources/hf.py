"""Labelled images in data sets of Hugging Face's library: saved to disk, or on the hub."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.data.decoding import Fit, Pixels, Undecodable, decode, size_of
from gauntlet.pipeline.data.found import Found
from gauntlet.pipeline.data.hf_dataset import Address, content_of, images_of, labels_of
from gauntlet.pipeline.data.listing import Listing
from gauntlet.pipeline.data.sources.labelled import Numbered, listing_of
from gauntlet.pipeline.data.sources.source import Size, register
from gauntlet.pipeline.data.stores import ImageStore, numbered
from gauntlet.pipeline.files import expanded
from gauntlet.pipeline.problems import BadInput

_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")


@register
class HuggingFace(Numbered):
    """A data set of Hugging Face's library, `pip install 'gauntlet[datasets]'`: a folder that
    `save_to_disk` wrote, or a name of the hub. No code of a data set's is run."""

    paths: ClassVar[tuple[str, ...]] = ("path", "ids")
    source: Literal["hf"]
    """Kind of source."""
    path: str | None = None
    """Folder that `save_to_disk` wrote; or `name`."""
    name: str | None = None
    """`owner/name` on the hub: downloaded into the library's own cache when it is first read."""
    config: str | None = None
    """Configuration of a data set on the hub that has several."""
    revision: str | None = None
    """Branch, tag or commit of one on the hub."""
    split: str | None = None
    """Which part, where there are several."""
    image: str = "image"
    """Column of images."""
    label: str = "label"
    """Column of classes: whole numbers, with their names where the data set knows them."""
    size: Size | None = None
    """Height and width to resize to (bilinear, antialiased); by default all must have one size."""
    classes: int | None = Field(None, ge=2)
    """Number of classes; by default what the data set knows, or highest label + 1."""

    @model_validator(mode="after")
    def _one_place(self) -> HuggingFace:
        if (self.path is None) == (self.name is None):
            raise ValueError("expected `path`, a folder, or `name`, on the hub: one of them")
        if self.name is None and (self.config or self.revision):
            raise ValueError("`config` and `revision` belong to a `name` on the hub")
        return self

    def image_size(self, base: Path) -> tuple[int, int] | None:
        """What the images are resized to, if they are."""
        return self.size

    def labelled(self, goal: Goal, base: Path, found: Found) -> Listing | None:
        """Read the labels; images wait."""
        path = None if self.path is None else (base / expanded(self.path)).absolute()
        if path is not None and not path.is_dir():
            found.add("data.path", f"no such folder: {path}")
            return None
        if self.name is not None and (wrong := _wrong_name(self.name)):
            found.add("data.name", wrong)
            return None
        address = Address(path, self.name, self.config, self.revision, self.split)
        try:
            dataset = address.opened()
            images_of(dataset, self.image)
            labels, names = labels_of(dataset, self.label)
        except BadInput as error:
            for problem in error.problems:
                found.add(f"data.{problem.where}", problem.what)
            return None
        given = self.path or self.name or ""
        if not len(labels):
            found.add("data.path" if self.path else "data.name", f"{given} has no rows")
            return None
        stem = "-".join([Path(given).name, *([self.split] if self.split else [])])
        store = RowImages(address, self.image, len(labels), stem).fitted(self.size)
        places = [f"{given}: row {row}" for row in range(len(labels))]
        classes = self.classes or len(names) or None
        return listing_of(store, labels - self.first_class, classes, places, found, names)


def _wrong_name(name: str) -> str | None:
    if _NAME.fullmatch(name) is None:
        return f"expected owner/name, as on the hub, got {name!r}; a folder is a `path`"
    if os.path.exists(name):
        return f"the library would read {Path(name).absolute()} in its place: name it by `path`"
    return None


@dataclass(frozen=True)
class RowImages(ImageStore):
    """The images of a data set's rows; ``name-split/17`` is the name of the one in row 17.

    Attributes:
        address: where the data set is.
        column: of images.
        count: number of rows.
        stem: what the names start with.
        fit: how a decoded image becomes a canonical one.
    """

    address: Address
    column: str
    count: int
    stem: str
    fit: Fit = field(default_factory=Fit)
    may_fail: ClassVar[bool] = True

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_rows"}

    @cached_property
    def _rows(self) -> Any:
        return images_of(self.address.opened(), self.column)

    def fitted(self, size: tuple[int, int] | None) -> RowImages:
        """Return these images resized, or else held to the size of the first."""
        fit = Fit(size=size)
        if size is None:
            try:
                first = size_of(self._content(0))
            except Undecodable:
                first = None
            fit = Fit(expect=first and (first, self.names[0]))
        return RowImages(self.address, self.column, self.count, self.stem, fit)

    @property
    def names(self) -> Sequence[str]:
        """``stem/row``."""
        return numbered(self.stem, self.count)

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Height and width after the fit."""
        return self.fit.image_size

    def read(self, position: int) -> Pixels:
        """Decode an image."""
        return decode(self._content(position), self.fit)

    def fingerprint(self, positions: Sequence[int]) -> str:
        """Return a hash of the image files' contents and of the fit."""
        digest = hashlib.blake2b(repr(self.fit).encode(), digest_size=16)
        for position in positions:
            content = self._content(position)
            whole = content if isinstance(content, bytes) else content.read_bytes()
            digest.update(hashlib.blake2b(whole).digest())
        return digest.hexdigest()

    def _content(self, position: int) -> bytes | Path:
        content = content_of(self._rows[position][self.column])
        if content is None:
            raise Undecodable("holds no image, or a path where no file is")
        return content
