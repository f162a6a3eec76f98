"""An ImageNet validation set."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.data.class_folders import Layout
from gauntlet.pipeline.data.decoding import Fit
from gauntlet.pipeline.data.found import Found
from gauntlet.pipeline.data.listing import Listing
from gauntlet.pipeline.data.sources.labelled import Numbered, in_class_folders
from gauntlet.pipeline.data.sources.source import Side, register
from gauntlet.pipeline.files import expanded


@register
class ImageNet(Numbered):
    """An ImageNet validation set laid out by class."""

    paths: ClassVar[tuple[str, ...]] = ("root", "ids")
    source: Literal["imagenet"]
    """Kind of source."""
    root: str
    """Folder with one sub-folder for each class: named by synset or by label (then some may be
    missing), or so that sorted order is label order."""
    size: Side = 224
    """Side of the central square that is kept, in pixels."""
    resize: Side = 256
    """Length that the shorter side is resized to first (bilinear, antialiased)."""
    classes: int = Field(1000, ge=2)
    """Number of classes; a sub-folder may be empty."""

    def image_size(self, base: Path) -> tuple[int, int]:
        """The square that is kept."""
        return self.size, self.size

    def labelled(self, goal: Goal, base: Path, found: Found) -> Listing | None:
        """Read the class folders."""
        root = base / expanded(self.root)
        if self.size > self.resize:
            found.add("data.size", f"{self.size} does not fit into `resize`, {self.resize}")
        if not root.is_dir():
            found.add("data.root", f"no such folder: {root}")
            return None
        layout = Layout(root, self.root, self.classes, self.labels_from, imagenet=True)
        fit = Fit(shorter=self.resize, crop=(self.size, self.size))
        return in_class_folders(layout, lambda names: fit, found)
