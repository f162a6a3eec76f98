"""``trained:FILE``: trained weights in a network that has no named architecture.

`file:` knows the architectures of `gauntlet models`. For torchvision's, timm's and the person's own
networks the option `source` says what makes the network, and the other options are that source's.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from torch import nn

from gauntlet.pipeline.files import expanded
from gauntlet.pipeline.models.checkpoint import load_checkpoint, open_checkpoint
from gauntlet.pipeline.models.description import Description
from gauntlet.pipeline.models.mean import is_mean
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.models.sources.file_source import reading
from gauntlet.pipeline.models.sources.source import (
    Offer,
    Permitting,
    Source,
    find_source,
    register,
)
from gauntlet.pipeline.problems import BadInput, Problem

ORIGINAL = "source"
"""The option that names the source whose network takes the weights."""


@register
class TrainedSource(Permitting):
    """Files of `gauntlet surrogates`, or any other checkpoint, in the network of another source.

    Nothing is downloaded, and the input convention is the other source's.
    """

    form = "trained:FILE"
    fields = frozenset({"key", "unfold_limit", "fetch"})

    def problems(self, rest: str, spec: ModelSpec, root: Path) -> list[Problem]:
        """Return what is wrong with the file, or with the source of its network."""
        found: list[Problem] = []
        try:
            open_checkpoint(root / expanded(rest), **reading(spec))
        except BadInput as error:
            found += [Problem("source", str(problem)) for problem in error.problems]
        try:
            source, name, original = self._original(spec)
        except BadInput as error:
            return [*found, *error.problems]
        wrong = source.problems(name, original, root)
        return [*found, *(Problem("options", f"{original.source}: {p.what}") for p in wrong)]

    def description(self, rest: str, spec: ModelSpec, root: Path) -> Description:
        """Return that of the network's source; how the weights were trained is unknown."""
        source, name, original = self._original(spec)
        return replace(source.description(name, original, root), adversarial=None)

    def network(self, rest: str, spec: ModelSpec, root: Path) -> nn.Module:
        """Return the source's network with the weights of the file, strictly loaded."""
        source, name, original = self._original(spec)
        made = source.network(name, original, root)
        load_checkpoint(root / expanded(rest), made, original.source, **reading(spec))
        return made

    def weights_file(self, rest: str, root: Path) -> Path:
        """Return the file."""
        return root / expanded(rest)

    def offers(self) -> list[Offer]:
        """Return the form."""
        what = "weights for the network of another source, named by the option `source`"
        return [Offer(self.form, what)]

    def _original(self, spec: ModelSpec) -> tuple[Source, str, ModelSpec]:
        """Return the source of the network, the text after its scheme, and its spec.

        Raises:
            BadInput: when the options name none, or one that is itself made of others.
        """
        options = dict(spec.options)
        text = options.pop(ORIGINAL, None)
        what = "expected the source of the network, such as {source: torchvision/resnet18}"
        if not isinstance(text, str):
            raise BadInput(Problem("options", f"{what}, got {text!r}" if text else what))
        original = ModelSpec(name=spec.name, source=text, options=options)
        unsuitable = BadInput(Problem("options", f"{what}, got {text!r}"))
        if is_mean(original):
            raise unsuitable
        try:
            source, name, original = find_source(original, self.permission)
        except BadInput as error:
            raise BadInput(Problem("options", problem.what) for problem in error.problems) from None
        if source.weights_file(name, Path()) is not None:
            raise unsuitable
        return source, name, source.weightless(original)
