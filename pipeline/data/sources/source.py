"""Data sources: where the examples of a run come from, and the catalogue of them.

A source is a file in this package that defines one subclass of `Labelled` (images with their
classes) or of `Paired` (pairs of images) and registers it::

    @register
    class Stripes(Labelled):
        '''Stripes, as many as wanted; a picture's class is their number.'''

        source: Literal["stripes"]
        '''Kind of source.'''
        count: int = 100
        '''Number of pictures.'''

        def labelled(self, goal: Goal, base: Path, found: Found) -> Listing: ...

Its fields are what a job may say of it, its methods what the rest of the library asks. Every module
of this package is imported by the catalogue, so a new file needs no other edit.
"""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, TypeVar, get_args

from pydantic import Field

from gauntlet.pipeline.batch import Goal, Task
from gauntlet.pipeline.data.found import Found
from gauntlet.pipeline.data.listing import Listing
from gauntlet.pipeline.discovery import import_all, import_offered
from gauntlet.pipeline.spec import Spec

Side = Annotated[int, Field(ge=1, le=8192)]
Size = tuple[Side, Side]


def _is_one(value: object) -> bool:
    return value == 1


def _is_none(value: object) -> bool:
    return value is None


class DataSource(Spec):
    """What a job says about its examples, and what there is to ask of every source of them.

    Attributes:
        task: what its examples are for.
        paths: fields that name files and folders, which whoever reads the examples needs.
    """

    task: ClassVar[Task]
    paths: ClassVar[tuple[str, ...]] = ("ids",)
    if TYPE_CHECKING:
        # A field of every source, a `Literal` of one word; it stands first among its own fields.
        source: str

    limit: int | None = Field(None, ge=1)
    """At most this many examples, counted after `ids`, `order` and `every`; thresholds use all
    pairs."""
    every: int = Field(1, ge=1, exclude_if=_is_one)
    """Only every n-th example, from the first, counted after `ids` and `order`: of images sorted by
    class, 10 takes a tenth from all over the classes."""
    fetch: str | None = Field(None, exclude_if=_is_none)
    """Where the data can be had, in words; `gauntlet check` says it while they are not there."""
    order: Literal["file", "random"] = "file"
    """`file`: as the source, or `ids`, lists them. `random`: by a hash of run seed and id."""
    ids: str | None = None
    """CSV that names the wanted examples, in its own order. Header `id`; `index` or `file`, with an
    optional `label` that must agree; for pairs `index_source,index_target`, `index_a,index_b`,
    `file_source,file_target` or `file_a,file_b`."""

    @abstractmethod
    def read(self, goal: Goal, base: Path, found: Found) -> Listing | None:
        """Return everything in the source, without decoding any image.

        Args:
            goal: what the attacker wants, one of the source's own task.
            base: folder that relative paths start from.
            found: takes what is wrong.

        Returns:
            None when the source cannot be used at all.

        Raises:
            BadInput, OSError: when a file cannot be read, which is then said of the data.
        """

    @abstractmethod
    def image_size(self, base: Path) -> tuple[int, int] | None:
        """Return height and width of the images in pixels, without decoding any.

        None where only the image files say it, or where the data are not as the job says.

        Args:
            base: folder that relative paths start from.
        """

    def own_code(self) -> tuple[Path, ...]:
        """Return the files of the person's own code that make the examples.

        Raises:
            BadInput: when they may not be run.
        """
        return ()

    @property
    @abstractmethod
    def has_references(self) -> bool:
        """Whether every example comes with an image of what the attacker wants."""

    def as_gallery(self) -> DataSource:
        """Return the source of the images where these are a gallery, and no examples."""
        return self

    @property
    def first_class(self) -> int:
        """Number of the first class where people write labels."""
        return 0

    def numbered_from(self, first: int) -> str | None:
        """Return what to write in the job so that labels count from ``first``.

        None where they do already, or where people have no say in the numbers.
        """
        return None

    def aimed(
        self, listing: Listing, whole: Listing, goal: Goal, seed: int, found: Found
    ) -> Listing:
        """Return examples with all that the goal needs of them.

        Args:
            listing: the examples.
            whole: everything in the source, whichever examples were chosen from it.
            goal: what the attacker wants.
            seed: the run's seed.
            found: takes what is wrong.
        """
        return listing


SourceType = TypeVar("SourceType", bound=type[DataSource])
_catalogue: dict[str, type[DataSource]] = {}


def name_of(source: type[DataSource]) -> str:
    """Return what a job calls a source: the one value of its field `source`."""
    (name,) = get_args(source.model_fields["source"].annotation)
    return str(name)


def register(source: SourceType) -> SourceType:
    """Enter a source into the catalogue under its name (class decorator)."""
    name = name_of(source)
    if _catalogue.setdefault(name, source).__qualname__ != source.__qualname__:
        raise ValueError(f"two data sources claim the name {name!r}")
    return source


def catalogue() -> list[type[DataSource]]:
    """Return every registered source, by task and name."""
    import_all("gauntlet.pipeline.data.sources")
    import_offered("gauntlet.data")
    return sorted(_catalogue.values(), key=lambda source: (source.task, name_of(source)))
