"""What a source of models can be asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from torch import nn

from gauntlet.pipeline.batch import Task
from gauntlet.pipeline.models.preprocessing import Preprocessing
from gauntlet.pipeline.models.sources.permission import Permission
from gauntlet.pipeline.models.spec import ModelSpec
from gauntlet.pipeline.problems import Problem


@dataclass(frozen=True)
class Convention:
    """What a source says about its network's input and output.

    Attributes:
        task: what the output is for; None when the source cannot know.
        preprocessing: how a canonical image becomes the network's input.
        adversarial: how the weights were trained adversarially, in words; False when they are known
            not to be, None when the source cannot know.
        classes: number of a classifier's logits; None when the source cannot know.
        ran: files of the person's own code that make the network.
    """

    task: Task | None
    preprocessing: Preprocessing
    adversarial: str | Literal[False] | None = None
    classes: int | None = None
    ran: tuple[Path, ...] = ()


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


class Source(Protocol):
    """Where networks come from. ``rest`` is the source's text after the scheme."""

    def problems(self, rest: str, spec: ModelSpec, root: Path) -> list[Problem]:
        """Return everything wrong, without making the network or running any model."""
        ...

    def convention(self, rest: str, spec: ModelSpec, root: Path) -> Convention:
        """Return what the network takes and gives; only asked when there are no problems."""
        ...

    def network(self, rest: str, spec: ModelSpec, root: Path) -> nn.Module:
        """Return the network with its weights, on the CPU.

        Raises:
            BadInput: when weights cannot be had or do not fit.
        """
        ...

    def offers(self) -> list[Offer]:
        """Return what can be named."""
        ...


@runtime_checkable
class Permitting(Source, Protocol):
    """A source that may run code of the person's, or whose networks' own sources may."""

    def under(self, permission: Permission) -> Source:
        """Return this source with what it may run; by itself it may run nothing."""
        ...
