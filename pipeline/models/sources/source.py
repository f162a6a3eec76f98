"""What a source of models is, and the catalogue of them.

A source is a file in this package that defines one subclass of `Source` and registers it::

    @register
    class ShapesSource(Source):
        '''Networks of our own shop.'''

        form = "shapes/NAME"

        def problems(self, rest, spec, root): ...
        def description(self, rest, spec, root): ...
        def network(self, rest, spec, root): ...
        def offers(self): ...

Every module of this package is imported by the catalogue, so a new file needs no other edit.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self, TypeVar

from torch import nn

from gauntlet.pipeline.discovery import import_all, import_offered
from gauntlet.pipeline.models import mean
from gauntlet.pipeline.models.description import Description
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.models.sources.old_spellings import as_written_now
from gauntlet.pipeline.models.sources.permission import NOTHING, Permission
from gauntlet.pipeline.problems import BadInput, Problem, suggest


@dataclass(frozen=True)
class Offer:
    """What a source offers, for `gauntlet models`.

    Attributes:
        form: how it is written in a job (``timm/NAME``).
        what: one line about it.
        names: values of NAME, where they are known.
    """

    form: str
    what: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Missing:
    """A file that is not on this machine.

    Attributes:
        where: its address, or in words where it is to be had; "" where nobody has said.
        path: where it goes.
        direct: whether the address is that of the file itself.
        sha256: how its SHA-256 begins; "" where the publisher does not say.
        size: bytes, about; None where the publisher does not say.
    """

    where: str
    path: Path
    direct: bool = True
    sha256: str = ""
    size: int | None = None


@dataclass(frozen=True)
class Source(ABC):
    """Where networks come from. ``rest`` is the source's text after the scheme.

    Attributes:
        form: how a job writes it: a scheme that ends in ``/`` or ``:``, and what follows.
        fields: of a spec, those that few sources read, and this one does.
        downloads: whether its weights come from the network; the option ``pretrained`` then says
            whether they are wanted.
        embeds: what a job writes to have classifiers give embeddings; "" where nothing does.
        classifies: the other way round.
    """

    form: ClassVar[str]
    fields: ClassVar[frozenset[str]] = frozenset()
    downloads: ClassVar[bool] = False
    embeds: ClassVar[str] = ""
    classifies: ClassVar[str] = ""

    @property
    def scheme(self) -> str:
        """What the text of a source begins with: ``timm/``."""
        return scheme_of(self.form)

    @abstractmethod
    def problems(self, rest: str, spec: ModelSpec, root: Path) -> list[Problem]:
        """Return everything wrong, without making the network or running any model."""

    @abstractmethod
    def description(self, rest: str, spec: ModelSpec, root: Path) -> Description:
        """Return what the source knows of the model; only asked when there are no problems."""

    @abstractmethod
    def network(self, rest: str, spec: ModelSpec, root: Path) -> nn.Module:
        """Return the network with its weights, on the CPU.

        Raises:
            BadInput: when weights cannot be had or do not fit.
        """

    @abstractmethod
    def offers(self) -> list[Offer]:
        """Return what can be named."""

    def weightless(self, spec: ModelSpec) -> ModelSpec:
        """Return a spec of the same network with random weights, if others would be downloaded."""
        if not self.downloads:
            return spec
        return spec.model_copy(update={"options": {**spec.options, "pretrained": False}})

    def weights_file(self, rest: str, root: Path) -> Path | None:
        """Return the file whose content says which weights these are, if there is one."""
        return None

    def missing(self, rest: str, spec: ModelSpec, root: Path) -> list[Missing]:
        """Return the published files that the network needs and that are not here yet."""
        return []


@dataclass(frozen=True)
class Permitting(Source):
    """A source that may run code of the person's, or whose network's own source may."""

    permission: Permission = NOTHING

    def under(self, permission: Permission) -> Self:
        """Return this source with what it may run; by itself it may run nothing."""
        return replace(self, permission=permission)


SourceType = TypeVar("SourceType", bound=type[Source])
_catalogue: dict[str, Source] = {}
_EXAMPLE = "for example timm/resnet50"


def register(source: SourceType) -> SourceType:
    """Enter a source into the catalogue under its scheme (class decorator)."""
    entry: Source = source()
    if type(_catalogue.setdefault(entry.scheme, entry)).__qualname__ != source.__qualname__:
        raise ValueError(f"two sources claim the scheme {entry.scheme!r}")
    return source


def catalogue() -> list[Source]:
    """Return every registered source, by scheme."""
    import_all("gauntlet.pipeline.models.sources")
    import_offered("gauntlet.models")
    return [_catalogue[scheme] for scheme in sorted(_catalogue)]


def scheme_of(text: str) -> str:
    """Return the beginning of a source's text, its separator included: ``timm/``."""
    return re.split(r"(?<=[/:])", text, maxsplit=1)[0]


def find_source(spec: ModelSpec, permission: Permission = NOTHING) -> tuple[Source, str, ModelSpec]:
    """Return a spec's source, the text after its scheme, and the spec as it is written now.

    Args:
        spec: as in a job.
        permission: the code of the person's that the source may run.

    Raises:
        BadInput: when the scheme is unknown or nothing follows it.
    """
    now = as_written_now(spec)
    scheme = scheme_of(now.source)
    known = {source.scheme: source for source in catalogue()}
    if scheme not in known:
        raise BadInput(Problem("source", _unknown(scheme, known)))
    source, rest = known[scheme], now.source.removeprefix(scheme)
    if not rest:
        raise BadInput(Problem("source", f"nothing follows {scheme!r}"))
    return (source.under(permission) if isinstance(source, Permitting) else source), rest, now


def _unknown(scheme: str, known: Mapping[str, Source]) -> str:
    """Return what is said of a text that begins with no scheme, or is but a network's name."""
    schemes = sorted([*known, scheme_of(mean.FORM)])
    if scheme[-1:] in ("/", ":"):
        # Schemes only, the separator included: "tim/resnet50" is near "timm/" by its beginning.
        return f"{suggest(scheme, schemes, 'source')} ({_EXAMPLE})"
    offers = (offer for source in known.values() for offer in source.offers())
    near = [f"{scheme_of(offer.form)}{scheme}" for offer in offers if scheme in offer.names]
    near += [each for each in schemes if each[:-1] == scheme]
    hint = f" did you mean {' or '.join(map(repr, near))}?" if near else ""
    return f"unknown source {scheme!r};{hint} known: {', '.join(schemes)} ({_EXAMPLE})"
