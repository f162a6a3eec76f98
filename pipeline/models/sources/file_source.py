"""``file:PATH`` with a named architecture."""

from __future__ import annotations

import inspect
from pathlib import Path

from torch import nn

from pipeline.models.architectures import ARCHITECTURES
from pipeline.models.checkpoint import inspect_checkpoint, load_checkpoint
from pipeline.models.file_format import Shapes, provenance
from pipeline.models.matching import better_architecture, compare, explain, on_meta
from pipeline.models.preprocessing import Preprocessing
from pipeline.models.sources.source import Convention, Offer
from pipeline.models.spec import ModelSpec
from pipeline.problems import BadInput, Problem, suggest

_HARDENED = "harden"
"""What `pipeline.surrogates.harden` writes as the method of its files."""


class FileSource:
    """Checkpoints on disk."""

    def problems(self, rest: str, spec: ModelSpec, root: Path) -> list[Problem]:
        """Return what is wrong with the file, the architecture, or the two together."""
        found: list[Problem] = []
        shapes: Shapes | None = None
        try:
            shapes = inspect_checkpoint(root / rest)
        except BadInput as error:
            found += [Problem("source", str(problem)) for problem in error.problems]
        if spec.architecture is None:
            better = better_architecture(shapes) if shapes is not None else None
            hint = f"; {better}" if better else ""
            known = ", ".join(ARCHITECTURES)
            found.append(Problem("architecture", f"a file: source needs one{hint}; known: {known}"))
        elif spec.architecture not in ARCHITECTURES:
            what = suggest(spec.architecture, list(ARCHITECTURES), "architecture")
            found.append(Problem("architecture", what))
        else:
            constructor = ARCHITECTURES[spec.architecture].constructor
            try:
                inspect.signature(constructor).bind(**spec.options)
                network = on_meta(lambda: constructor(**spec.options))
            except (TypeError, ValueError, RuntimeError) as error:
                what = f"{spec.architecture} cannot be made with these options: {error}"
                return [*found, Problem("options", what)]
            if shapes is not None and (mismatch := compare(shapes, network)):
                what = f"{root / rest}: {explain(shapes, mismatch, spec.architecture)}"
                found.append(Problem("source", what))
        return found

    def convention(self, rest: str, spec: ModelSpec, root: Path) -> Convention:
        """Return the architecture's convention."""
        architecture = ARCHITECTURES[spec.architecture or ""]
        return Convention(
            architecture.task,
            Preprocessing(
                input_size=architecture.input_size,
                mean=architecture.mean,
                std=architecture.std,
                channels=architecture.channels,
                resize=architecture.resize,
            ),
            _adversarial(root / rest),
            architecture.classes(**spec.options),
        )

    def network(self, rest: str, spec: ModelSpec, root: Path) -> nn.Module:
        """Return the architecture with the file's weights."""
        name = spec.architecture or ""
        network = ARCHITECTURES[name].constructor(**spec.options)
        load_checkpoint(root / rest, network, name)
        return network

    def offers(self) -> list[Offer]:
        """Return the architectures."""
        return [
            Offer("file:PATH", f"architecture {name}: {architecture.summary}", (name,))
            for name, architecture in ARCHITECTURES.items()
        ]


def _adversarial(path: Path) -> str | None:
    """Return how a file says that its weights were trained adversarially, if it does."""
    about = provenance(path)
    settings = about.get("settings")
    if about.get("method") != _HARDENED or not isinstance(settings, dict):
        return None
    ball = {"linf": "l_inf", "l2": "l2"}.get(str(settings.get("norm")), "")
    budget = float(settings.get("epsilon", 0))
    return f"PGD-AT, {ball} " + (f"{budget * 255:.3g}/255" if ball == "l_inf" else f"{budget:.3g}")
