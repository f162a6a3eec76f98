"""The files that models need and that are not on this machine: where from, and where to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from gauntlet.pipeline.models import mean
from gauntlet.pipeline.models.file_format import beginning, identify
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.models.sources.download import offline
from gauntlet.pipeline.models.sources.source import Missing, find_source
from gauntlet.pipeline.models.sources.transfer import download
from gauntlet.pipeline.problems import BadInput, Problem

_ONNX = ".onnx"
_SUFFIXES = frozenset({".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".npz", _ONNX})


@dataclass(frozen=True)
class Wanted:
    """A missing file.

    Attributes:
        models: names of the models that need it.
        missing: where it is to be had, and where it goes.
    """

    models: tuple[str, ...]
    missing: Missing


def wanted(
    specs: Iterable[ModelSpec], root: Path, wrong: list[Problem] | None = None
) -> list[Wanted]:
    """Return the missing files of models, each once, in the order of the models.

    Args:
        specs: the models.
        root: folder that relative paths start from.
        wrong: takes what is wrong with a model that is therefore passed over.

    Raises:
        BadInput: when a source is unknown or its library is not there, and `wrong` is None.
    """
    found: dict[Path, Wanted] = {}
    for spec in specs:
        try:
            files = _missing(spec, root)
        except BadInput as error:
            if wrong is None:
                raise
            wrong += error.problems
            continue
        for missing in files:
            before = found.get(missing.path, Wanted((), missing))
            found[missing.path] = replace(before, models=(*before.models, spec.name))
    return list(found.values())


def fetch(one: Missing) -> None:
    """Download a file to its place; only a checkpoint may end up there.

    Raises:
        BadInput: in a line, when there is no direct address, no network, or another content.
    """
    if not one.direct:
        raise BadInput(Problem(str(one.path), f"to be fetched by hand, from {one.where}"))
    try:
        if offline():
            raise OSError("HF_HUB_OFFLINE is set")
        # What is in an ONNX file takes its library to tell, which need not be here.
        check = beginning if one.path.suffix == _ONNX else identify
        download(one.where, one.path, one.sha256, check)
    except BadInput as error:
        what = f"{one.where}: " + "; ".join(problem.what for problem in error.problems)
        raise BadInput(Problem(str(one.path), what)) from None
    except (OSError, ValueError) as error:
        what = f"{one.where} cannot be downloaded: {getattr(error, 'reason', error)}"
        raise BadInput(Problem(str(one.path), what)) from None


def _missing(spec: ModelSpec, root: Path) -> list[Missing]:
    if mean.is_mean(spec):
        return [one for member in spec.members for one in _missing(member, root)]
    source, rest, now = find_source(spec)
    path = source.weights_file(rest, root)
    if path is None:
        return source.missing(rest, now, root)
    if path.is_file():
        return []
    where = spec.fetch or ""
    parts = urlsplit(where)
    direct = parts.scheme in ("http", "https") and Path(parts.path).suffix in _SUFFIXES
    return [Missing(where, path, direct, spec.sha256 or "")]
