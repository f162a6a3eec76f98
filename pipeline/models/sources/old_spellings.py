"""Sources that were once written as an `import:` of Gauntlet's own modules."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from gauntlet.pipeline.models.sources.permission import Permission
from gauntlet.pipeline.models.sources.quickstart_source import QuickstartSource
from gauntlet.pipeline.models.sources.source import Convention, Offer, Permitting, Source
from gauntlet.pipeline.models.sources.trained_source import TrainedSource
from gauntlet.pipeline.models.spec import ModelSpec
from gauntlet.pipeline.problems import Problem


@dataclass(frozen=True)
class OldSpelling:
    """A source whose text is the same for all its networks: an option says which one is meant.

    Jobs and stored plans keep the text that they have: it is part of what a run is known by.

    Attributes:
        source: what the text means now.
        option: holds what follows the scheme now.
    """

    source: Source
    option: str

    def under(self, permission: Permission) -> OldSpelling:
        """Return this source with another permission."""
        if isinstance(self.source, Permitting):
            return replace(self, source=self.source.under(permission))
        return self

    def problems(self, rest: str, spec: ModelSpec, root: Path) -> list[Problem]:
        """Return what the source finds wrong, or that the option is missing."""
        if not isinstance(spec.options.get(self.option), str):
            return [Problem("options", f"`{self.option}` is missing")]
        return self.source.problems(*self._now(spec), root)

    def convention(self, rest: str, spec: ModelSpec, root: Path) -> Convention:
        """Return the source's convention."""
        return self.source.convention(*self._now(spec), root)

    def network(self, rest: str, spec: ModelSpec, root: Path) -> nn.Module:
        """Return the source's network."""
        return self.source.network(*self._now(spec), root)

    def offers(self) -> list[Offer]:
        """Return nothing: nobody writes this any more."""
        return []

    def _now(self, spec: ModelSpec) -> tuple[str, ModelSpec]:
        options = dict(spec.options)
        rest = str(options.pop(self.option))
        return rest, spec.model_copy(update={"options": options})


OLD_SPELLINGS: dict[str, OldSpelling] = {
    "import:jobs.quickstart.networks:load": OldSpelling(QuickstartSource(), "name"),
    "import:pipeline.surrogates.restored:network": OldSpelling(TrainedSource(), "file"),
}
