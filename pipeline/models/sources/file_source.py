"""``file:PATH`` with a named architecture, or one that the file's entries tell."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from gauntlet.pipeline.files import expanded, obstacle
from gauntlet.pipeline.models.architectures import ARCHITECTURES
from gauntlet.pipeline.models.architectures.faces import FACES, PUBLISHERS
from gauntlet.pipeline.models.architectures.published import CHECKPOINTS
from gauntlet.pipeline.models.checkpoint import check_checkpoint, load_checkpoint, open_checkpoint
from gauntlet.pipeline.models.description import Description
from gauntlet.pipeline.models.file_format import Entries, identify, provenance
from gauntlet.pipeline.models.matching import architectures_of, nearest_architecture, on_meta
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.models.sources.source import Offer, Source, register
from gauntlet.pipeline.problems import BadInput, Problem, suggest

_SHOWN = 4
_HARDENED = "harden"
"""What `gauntlet.pipeline.training.harden` writes as the method of its files."""


@register
class FileSource(Source):
    """Checkpoints on disk."""

    form = "file:PATH"
    fields = frozenset({"architecture", "key", "sha256", "unfold_limit", "fetch"})

    def problems(self, rest: str, spec: ModelSpec, root: Path) -> list[Problem]:
        """Return what is wrong with the file, the architecture, or the two together."""
        path = root / expanded(rest)
        if obstacle(path) == "no such file":
            found = _wrong_with(lambda: identify(path))
            return [Problem(problem.where, problem.what + _where_to_get(spec)) for problem in found]
        if wrong := other_content(path, spec.sha256):
            return [Problem("sha256", wrong)]
        if spec.architecture is None:
            return _wrong_with(lambda: named(path, spec))
        if spec.architecture not in ARCHITECTURES:
            what = suggest(spec.architecture, list(ARCHITECTURES), "architecture")
            unnamed = Problem("architecture", what)
            return [*_wrong_with(lambda: _open(path, spec)), unnamed]
        name, known = spec.architecture, ARCHITECTURES[spec.architecture]
        try:
            inspect.signature(known.constructor).bind(**spec.options)
            network = on_meta(lambda: known.constructor(**spec.options))
        except (TypeError, ValueError, RuntimeError) as error:
            what = f"{name} cannot be made with these options: {error}"
            return [Problem("options", what), *_wrong_with(lambda: _open(path, spec))]
        return _wrong_with(
            lambda: check_checkpoint(path, network, name, unused=known.unused, **reading(spec))
        )

    def description(self, rest: str, spec: ModelSpec, root: Path) -> Description:
        """Return the architecture's convention."""
        path = root / expanded(rest)
        name = named(path, spec)
        architecture = ARCHITECTURES[name]
        return Description(
            architecture.task,
            architecture.preprocessing,
            _adversarial(path),
            architecture.classes(**spec.options),
            guessed=None if spec.architecture else name,
        )

    def network(self, rest: str, spec: ModelSpec, root: Path) -> nn.Module:
        """Return the architecture with the file's weights."""
        path = root / expanded(rest)
        name = named(path, spec)
        known = ARCHITECTURES[name]
        network = known.constructor(**spec.options)
        load_checkpoint(path, network, name, unused=known.unused, **reading(spec))
        return network

    def weights_file(self, rest: str, root: Path) -> Path:
        """Return the checkpoint."""
        return root / expanded(rest)

    def offers(self) -> list[Offer]:
        """Return the architectures, the published face networks by publisher."""
        own = [
            Offer(self.form, f"architecture {name}: {architecture.summary}", (name,))
            for name, architecture in ARCHITECTURES.items()
            if architecture.publisher is None
        ]
        of = {key: [n for n, a in FACES.items() if a.publisher == key] for key in PUBLISHERS}
        return own + [
            Offer(self.form, f"architectures of {PUBLISHERS[key].title}", tuple(names))
            for key, names in of.items()
        ]


def named(path: Path, spec: ModelSpec) -> str:
    """Return the architecture that a spec names, or the only one that its file's keys fit.

    Raises:
        BadInput: as `open_checkpoint`; when no architecture fits, with the nearest; when several
            do that are not the same function of an image.
    """
    if spec.architecture is not None:
        return spec.architecture
    found = _open(path, spec)
    names = architectures_of(found, spec.options)
    if not names:
        nearest = min(map(nearest_architecture, found.values()), key=lambda n: n.mismatch.total)
        what = f"its entries fit no known architecture (`gauntlet models` lists them); {nearest}"
        raise BadInput(Problem("architecture", f"{what}: {nearest.mismatch}"))
    functions = {(_maker(name), str(ARCHITECTURES[name].preprocessing)) for name in names}
    if len(functions) > 1:
        ways = ", ".join(f"{name} ({ARCHITECTURES[name].preprocessing})" for name in names)
        raise BadInput(
            Problem(
                "architecture",
                f"its entries fit {len(names)} networks that differ in what no file tells: {ways}; "
                "name the one that the file is of, or have `gauntlet models verify` try them all",
            )
        )
    return names[0]


def candidates(path: Path, spec: ModelSpec) -> list[str]:
    """Return every architecture that a spec's file fits, whichever it names.

    Raises:
        BadInput: as `open_checkpoint`.
    """
    return architectures_of(_open(path, spec), spec.options)


def _maker(name: str) -> str:
    """Return what two architectures share that make the same network."""
    constructor = ARCHITECTURES[name].constructor
    if isinstance(constructor, partial):
        given = f"{constructor.args} {sorted(constructor.keywords.items())}"
        return f"{constructor.func.__qualname__} {given}"
    return constructor.__qualname__


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
        return [
            one if one.where == "architecture" else Problem("source", str(one))
            for one in error.problems
        ]
    return []


def _where_to_get(spec: ModelSpec) -> str:
    """Return what to get for a named architecture whose file is missing, as an ending."""
    known = ARCHITECTURES.get(spec.architecture or "")
    if known is None or known.publisher is None:
        return ""
    files = [one.file for one in CHECKPOINTS if one.architecture == spec.architecture]
    which = f" ({', '.join(files[:_SHOWN])})" if files else ""
    where = PUBLISHERS[known.publisher].where
    return f"; get a file of {spec.architecture}{which} by way of {where}, and put it there"


def other_content(path: Path, digest: str | None) -> str | None:
    """Return what is wrong if a file's SHA-256 does not begin as the job says."""
    if digest is None or obstacle(path):
        return None
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found.startswith(digest.lower()):
        return None
    return (
        f"{path} has the SHA-256 {found[: max(len(digest), 12)]}..., which is not that of the job"
    )


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
