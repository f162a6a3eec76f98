"""Labelled images in Parquet files, as Hugging Face keeps its data sets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.data.account import first_names
from gauntlet.pipeline.data.decoding import Fit, Pixels, Undecodable, decode, size_of
from gauntlet.pipeline.data.found import Found
from gauntlet.pipeline.data.listing import Listing
from gauntlet.pipeline.data.parquet_column import ParquetColumn
from gauntlet.pipeline.data.sources.labelled import Numbered, listing_of
from gauntlet.pipeline.data.sources.source import Size, register
from gauntlet.pipeline.data.stores import ImageStore, numbered
from gauntlet.pipeline.files import expanded


@register
class Parquet(Numbered):
    """Labelled images in Parquet files. Names of classes are read where Hugging Face's metadata
    are there."""

    paths: ClassVar[tuple[str, ...]] = ("path", "ids")
    source: Literal["parquet"]
    """Kind of source."""
    path: str
    """A .parquet file, or a folder of them, which count in the order of their names."""
    image: str = "image"
    """Column of images: files as bytes, or structures with a field `bytes`."""
    label: str = "label"
    """Column of classes: whole numbers."""
    size: Size | None = None
    """Height and width to resize to (bilinear, antialiased); by default all must have one size."""
    classes: int | None = Field(None, ge=2)
    """Number of classes; by default what the metadata say, or highest label + 1."""

    def image_size(self, base: Path) -> tuple[int, int] | None:
        """What the images are resized to, if they are."""
        return self.size

    def labelled(self, goal: Goal, base: Path, found: Found) -> Listing | None:
        """Read the labels; images wait in their files."""
        path = base / expanded(self.path)
        files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
        if not files or not files[0].is_file():
            what = "no .parquet files in" if path.is_dir() else "no such file:"
            found.add("data.path", f"{what} {path}")
            return None
        try:
            schema = pq.read_schema(files[0])
            if missing := [name for name in (self.image, self.label) if name not in schema.names]:
                what = f"no column {missing[0]!r}; it has {first_names(schema.names)}"
                found.add(f"data.{'image' if missing[0] == self.image else 'label'}", what)
                return None
            columns = [pq.read_table(file, columns=[self.label])[self.label] for file in files]
        except (pa.ArrowException, OSError) as error:
            found.add("data.path", f"{self.path} cannot be read as Parquet: {error}")
            return None
        if any(not pa.types.is_integer(part.type) or part.null_count for part in columns):
            what = (
                f"column {self.label!r} is {columns[0].type}, expected whole numbers, none absent"
            )
            found.add("data.label", what)
            return None
        labels = np.concatenate([part.to_numpy() for part in columns]).astype(np.int64)
        if not len(labels):
            found.add("data.path", f"{self.path} has no rows")
            return None
        store = ParquetImages(tuple(files), self.image, path.stem).fitted(self.size)
        names = _class_names(schema, self.label)
        places = [f"{self.path}: row {row}" for row in range(len(labels))]
        classes = self.classes or len(names) or None
        return listing_of(store, labels - self.first_class, classes, places, found, names)


def _class_names(schema: pa.Schema, label: str) -> tuple[str, ...]:
    """Return the names of the classes by Hugging Face's metadata, if they are there."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return tuple(map(str, features[label]["names"]))
    except (KeyError, TypeError, ValueError):
        return ()


@dataclass(frozen=True)
class ParquetImages(ImageStore):
    """The image files in a column; ``name/17`` is the name of the one in row 17.

    Attributes:
        files: the Parquet files.
        column: the column of images.
        stem: what the names start with.
        fit: how a decoded image becomes a canonical one.
    """

    files: tuple[Path, ...]
    column: str
    stem: str
    fit: Fit = field(default_factory=Fit)
    may_fail: ClassVar[bool] = True

    @cached_property
    def _values(self) -> ParquetColumn:
        return ParquetColumn(self.files, self.column)

    def fitted(self, size: tuple[int, int] | None) -> ParquetImages:
        """Return these images resized, or else held to the size of the first."""
        if size is not None:
            return replace(self, fit=Fit(size=size))
        try:
            first = size_of(self._content(0))
        except Undecodable:
            return self
        return replace(self, fit=Fit(expect=first and (first, self.names[0])))

    @property
    def names(self) -> Sequence[str]:
        """``name/row``."""
        return numbered(self.stem, len(self._values))

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
            digest.update(hashlib.blake2b(self._content(position)).digest())
        return digest.hexdigest()

    def _content(self, position: int) -> bytes:
        value = self._values[position]
        content = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(content, bytes):
            raise Undecodable("holds no bytes of an image")
        return content
