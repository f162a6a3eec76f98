"""``quickstart/NAME``: the tiny networks of the bundled job `quickstart`."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from gauntlet.pipeline.batch import Task
from gauntlet.pipeline.models.description import Description
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.models.preprocessing import Preprocessing
from gauntlet.pipeline.models.quickstart.networks import CLASSES, NETWORKS, SIZE, load
from gauntlet.pipeline.models.sources.source import Offer, Source, register
from gauntlet.pipeline.problems import BadInput, Problem, suggest


@register
class QuickstartSource(Source):
    """Five trained classifiers of eight drawn shapes; their weights come with the package."""

    form = "quickstart/NAME"

    def problems(self, rest: str, spec: ModelSpec, root: Path) -> list[Problem]:
        """Return what is wrong with the name or the options."""
        if rest not in NETWORKS:
            return [Problem("source", suggest(rest, list(NETWORKS), "network of the quickstart"))]
        if spec.options:
            names = ", ".join(spec.options)
            return [Problem("options", f"quickstart/{rest} takes none, got {names}")]
        return []

    def description(self, rest: str, spec: ModelSpec, root: Path) -> Description:
        """Return 32 x 32 without normalisation: a network's first layer is its own."""
        form = Preprocessing(input_size=(SIZE, SIZE))
        return Description(Task.CLASSIFICATION, form, classes=CLASSES)

    def network(self, rest: str, spec: ModelSpec, root: Path) -> nn.Module:
        """Return the network."""
        try:
            return load(rest)
        except (ValueError, OSError) as error:
            raise BadInput(Problem("source", f"quickstart/{rest}: {error}")) from None

    def offers(self) -> list[Offer]:
        """Return the five names."""
        what = "tiny bundled classifiers of drawn shapes, 32 x 32"
        return [Offer(self.form, what, tuple(NETWORKS))]
