"""``file:PATH`` with a named architecture."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from gauntlet.pipeline.files import expanded
from gauntlet.pipeline.models.architectures import ARCHITECTURES
from gauntlet.pipeline.models.checkpoint import check_checkpoint, load_checkpoint, open_checkpoint
from gauntlet.pipeline.models.description import Description
from gauntlet.pipeline.models.file_format import Entries, provenance
from gauntlet.pipeline.models.matching import better_architecture, on_meta
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.models.preprocessing import Preprocessing
from gauntlet.pipeline.models.sources.source import Offer, Source, register
from gauntlet.pipeline.problems import BadInput, Problem, suggest

_HARDENED = "harden"
"""What `gauntlet.pipeline.training.harden` writes as the method of its files."""


@register
class FileSource(Source):
    """Checkpoints on disk."""

    form = "file:PATH"
    fields = frozenset({"architecture", "key", "unfold_limit"})

    def problems(self, rest: str, spec: ModelSpec, root: Path) -> list[Problem]:
        """Return what is wrong with the file, the architecture, or the two together."""
        path = root / expanded(rest)
        if spec.architecture not in ARCHITECTURES:
            unnamed = Problem("architecture", _no_architecture(path, spec))
            return [*_wrong_with(lambda: _open(path, spec)), unnamed]
        name, constructor = spec.architecture, ARCHITECTURES[spec.architecture].constructor
        try:
            inspect.signature(constructor).bind(**spec.options)
            network = on_meta(lambda: constructor(**spec.options))
        except (TypeError, ValueError, RuntimeError) as error:
            what = f"{name} cannot be made with these options: {error}"
            return [Problem("options", what), *_wrong_with(lambda: _open(path, spec))]
        return _wrong_with(lambda: check_checkpoint(path, network, name, **reading(spec)))

    def description(self, rest: str, spec: ModelSpec, root: Path) -> Description:
        """Return the architecture's convention."""
        architecture = ARCHITECTURES[spec.architecture or ""]
        return Description(
            architecture.task,
            Preprocessing(
                input_size=architecture.input_size,
                mean=architecture.mean,
                std=architecture.std,
                channels=architecture.channels,
                resize=architecture.resize,
            ),
            _adversarial(root / expanded(rest)),
            architecture.classes(**spec.options),
        )

    def network(self, rest: str, spec: ModelSpec, root: Path) -> nn.Module:
        """Return the architecture with the file's weights."""
        name = spec.architecture or ""
        network = ARCHITECTURES[name].constructor(**spec.options)
        load_checkpoint(root / expanded(rest), network, name, **reading(spec))
        return network

    def weights_file(self, rest: str, root: Path) -> Path:
        """Return the checkpoint."""
        return root / expanded(rest)

    def offers(self) -> list[Offer]:
        """Return the architectures."""
        return [
            Offer(self.form, f"architecture {name}: {architecture.summary}", (name,))
            for name, architecture in ARCHITECTURES.items()
        ]


def reading(spec: ModelSpec) -> dict[str, Any]:
    """Return how the spec wants its checkpoint read."""
    limit = {} if spec.unfold_limit is None else {"unfold_limit": spec.unfold_limit}
    return {"key": spec.key, **limit}


def _open(path: Path, spec: ModelSpec) -> dict[str, Entries]:
    return open_checkpoint(path, **reading(spec))


def _wrong_with(reading: Callable[[], object]) -> list[Problem]:
    try:
        reading()
    except BadInput as error:
        return [Problem("source", str(problem)) for problem in error.problems]
    return []


def _no_architecture(path: Path, spec: ModelSpec) -> str:
    if spec.architecture is not None:
        return suggest(spec.architecture, list(ARCHITECTURES), "architecture")
    try:
        known = (better_architecture(state) for state in _open(path, spec).values())
        hint = next((f"; {better}" for better in known if better), "")
    except BadInput:  # said of the source
        hint = ""
    return f"a file: source needs one{hint}; known: {', '.join(ARCHITECTURES)}"


def _adversarial(path: Path) -> str | None:
    """Return how a file says that its weights were trained adversarially, if it does."""
    about = provenance(path)
    settings = about.get("settings")
    if about.get("method") != _HARDENED or not isinstance(settings, dict):
        return None
    ball = {"linf": "l_inf", "l2": "l2"}.get(str(settings.get("norm")), "")
    budget = settings.get("epsilon")
    if not isinstance(budget, int | float) or not 0 < budget < 1e6:
        return f"PGD-AT, {ball}".rstrip(", ")
    return f"PGD-AT, {ball} " + (f"{budget * 255:.3g}/255" if ball == "l_inf" else f"{budget:.3g}")
