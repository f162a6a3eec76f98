"""What a job says about its examples."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from gauntlet.pipeline.spec import Spec

Side = Annotated[int, Field(ge=1, le=8192)]
Size = tuple[Side, Side]


class Listed(Spec):
    """What every source of examples has in common."""

    limit: int | None = Field(None, ge=1)
    """At most this many examples, counted after `ids` and `order`; thresholds use all pairs."""
    order: Literal["file", "random"] = "file"
    """`file`: as the source, or `ids`, lists them. `random`: by a hash of run seed and id."""
    ids: str | None = None
    """CSV that names the wanted examples, in its own order. Header `id`; `index` or `file`, with an
    optional `label` that must agree; for pairs `index_source,index_target`, `index_a,index_b`,
    `file_source,file_target` or `file_a,file_b`."""


class Labelled(Listed):
    """What every source of labelled images has in common."""

    wanted: Literal["next", "random", "listed"] | None = None
    """Targeted: the class that the attacker wants. `next`: label + 1, modulo the number of classes.
    `random`: another class, drawn by a hash of run seed and example id. `listed`: what the source
    says of each example. By default what the source says, and `next` where it says nothing."""
    references: Literal["gallery"] | None = None
    """Targeted: what the attacker has of the wanted class, for objectives such as `aa`. `gallery`:
    for each example one image of that class out of the whole source, whatever `ids` and `limit`
    leave, drawn by a hash of run seed and example id. By default nothing."""


class Numbered(Labelled):
    """What sources have in common whose classes people number themselves."""

    labels_from: Literal[0, 1] | None = None
    """Number of the first class in labels, or in the names of class folders. By default 0; 1 where
    the format has it (the column `TrueLabel` of the 2017 competition) or class folders are
    numbered 1 to their count."""


class Npz(Numbered):
    """Labelled images in one NumPy archive; its array `wanted`, if any, holds wanted classes."""

    source: Literal["npz"]
    """Kind of source."""
    path: str
    """The .npz file."""
    images: str = "images"
    """Name of the array of images in it: uint8, (N, H, W, 3), RGB."""
    labels: str = "labels"
    """Name of the array of classes in it: whole numbers, (N,) or (N, 1), or one-hot rows (N, C)."""
    classes: int | None = Field(None, ge=2)
    """Number of classes; by default the length of the archive's `classes` or of one-hot rows, or
    highest label + 1."""


class Folder(Numbered):
    """Labelled image files. Links are followed; hidden files and what systems leave behind
    (`__MACOSX`, `Thumbs.db`) are passed over."""

    source: Literal["folder"]
    """Kind of source."""
    root: str
    """The folder; without `labels`, each of its sub-folders is a class: its name if that is a
    number, ImageNet's label if it is a synset of 1,000 classes, or its place in sorted order."""
    labels: str | None = None
    """CSV `file,label`, or `file,label,wanted` with the class that a targeted attacker wants: paths
    below `root`, and classes as whole numbers. Published spellings are known
    (`filename,label,targeted_label`; `ImageId,TrueLabel,TargetClass`), other columns passed over.
    """
    size: Size | None = None
    """Height and width to resize to (bilinear, antialiased); by default all must have one size."""
    classes: int | None = Field(None, ge=2)
    """Number of classes; by default the number of sub-folders, or highest label + 1. Needed where
    a class has an empty sub-folder."""


class Cifar10(Labelled):
    """The CIFAR-10 test set, as its authors distribute it."""

    source: Literal["cifar10"]
    """Kind of source."""
    root: str
    """Folder that holds `cifar-10-batches-py`."""


class ImageNet(Numbered):
    """An ImageNet validation set laid out by class."""

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


class Paired(Listed):
    """What every source of image pairs has in common."""

    kind: Literal["different", "same"] | None = None
    """Which pairs are attacked: of different people or of one person. By default what the goal is
    about: `different` for impersonation, `same` for dodging."""


class Pairs(Paired):
    """Image pairs named by a CSV."""

    source: Literal["pairs"]
    """Kind of source."""
    images: str
    """An .npz whose array `images` is uint8, (N, H, W, 3), RGB; or a folder of image files."""
    pairs: str
    """CSV `index_a,index_b,same` (for an .npz) or `file_a,file_b,same` (for a folder); `same` is 1
    or 0. The first image is attacked, the second is its reference."""
    folds: int = Field(10, ge=2)
    """The rows in order are this many equal blocks: folds of the threshold protocol."""
    size: Size | None = None
    """Folder: height and width to resize to (bilinear, antialiased); by default all must have one
    size."""


class Lfw(Paired):
    """Labeled Faces in the Wild, or a data set laid out like it."""

    source: Literal["lfw"]
    """Kind of source."""
    root: str
    """Folder with `Name/Name_0001.jpg` for each person; other image suffixes will do."""
    pairs: str | None = None
    """View-2 list of pairs; `pairs.txt` in `root` by default."""
    size: Size = (112, 112)
    """Height and width to resize to (bilinear, antialiased)."""
    crop: Side | None = None
    """Side of a central square that is cut out before the resize, in pixels."""


class Rendered(Paired):
    """Faces drawn by formula, as many as wanted, with no file. `ids` names pairs by their ids,
    `same-00000` or `different-00000`, which mean the same for any number of `pairs`."""

    source: Literal["rendered"]
    """Kind of source."""
    faces: int = Field(0, ge=0)
    """Seed of the people, of their photographs and of the pairs; the run's seed changes none."""
    size: int = Field(48, ge=16, le=1024)
    """Side of the pictures in pixels."""
    pairs: int = Field(6000, ge=20, le=100_000)
    """Pairs of the threshold protocol, a multiple of 20: half of one person and half of different
    people, in ten folds that have no person in common."""
    identities: int = Field(1000, ge=20, le=1_000_000)
    """Number of people, a multiple of 10: the test people from number 1000000 on."""

    @field_validator("pairs", "identities")
    @classmethod
    def _shared_out(cls, value: int, info: ValidationInfo) -> int:
        share = 20 if info.field_name == "pairs" else 10
        if value % share:
            raise ValueError(f"{value} is no multiple of {share}, as ten equal folds need it")
        return value


DataSpec = Annotated[
    Npz | Folder | Cifar10 | ImageNet | Pairs | Lfw | Rendered, Field(discriminator="source")
]
"""Where the examples of a run come from."""
