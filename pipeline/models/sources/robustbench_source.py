"""``robustbench:DATASET/THREAT/NAME``: networks of RobustBench's model zoo."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast

from torch import nn

from gauntlet.pipeline.batch import Task
from gauntlet.pipeline.models.checkpoint import load_checkpoint, open_checkpoint
from gauntlet.pipeline.models.description import Description
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.models.preprocessing import Preprocessing
from gauntlet.pipeline.models.sources.constructors import constructor_options, pretrained_only
from gauntlet.pipeline.models.sources.download import hub_folder, unavailable
from gauntlet.pipeline.models.sources.optional import library
from gauntlet.pipeline.models.sources.source import Missing, Offer, Source, register
from gauntlet.pipeline.problems import BadInput, Problem, suggest

_INSTALL = (
    "it pins an old timm: pip install --no-deps robustbench geotorch torchdiffeq gdown "
    "'setuptools<81' git+https://github.com/fra31/auto-attack"
)
_CLASSES = {"cifar10": 10, "cifar100": 100, "imagenet": 1000}
_SIDES = {"cifar10": 32, "cifar100": 32, "imagenet": 224}


@register
class RobustBenchSource(Source):
    """Its networks, which take images in [0, 1]; its files are read here, and never run."""

    form = "robustbench:DATASET/THREAT/NAME"
    downloads = True

    def problems(self, rest: str, spec: ModelSpec, root: Path) -> list[Problem]:
        """Return what is wrong with the library, the name, the options or the file."""
        pretrained, found = pretrained_only(spec, "robustbench:")
        try:
            entry = _entry(rest)
            if pretrained:
                _weights(rest, entry)
        except BadInput as error:
            found += [replace(problem, where="source") for problem in error.problems]
        return found

    def description(self, rest: str, spec: ModelSpec, root: Path) -> Description:
        """Return the data set's size; whatever normalises is in the network."""
        data, threat, name = rest.split("/")
        # Names such as BicubicRes256Crop224 end with the side of what the network takes.
        stated = str(_entry(rest).get("preprocessing") or "")
        found = re.search(r"(\d+)$", stated)
        side = int(found[1]) if found else _SIDES[data]
        resize: Literal["bicubic", "bilinear"] = "bicubic" if "Bicubic" in stated else "bilinear"
        return Description(
            Task.CLASSIFICATION,
            Preprocessing((side, side), resize=resize),
            False if name == "Standard" else f"RobustBench's, {threat}",
            classes=_CLASSES[data],
        )

    def network(self, rest: str, spec: ModelSpec, root: Path) -> nn.Module:
        """Return the network with the weights of its file."""
        entry = _entry(rest)
        network = cast(nn.Module, entry["model"]())
        pretrained, _ = constructor_options(spec)
        if pretrained:
            load_checkpoint(_weights(rest, entry), network, f"robustbench:{rest}")
        return network

    def missing(self, rest: str, spec: ModelSpec, root: Path) -> list[Missing]:
        """Return the weights' file, which a person has to fetch."""
        pretrained, _ = constructor_options(spec)
        entry, path = _entry(rest), _place(rest)
        if not pretrained or path.is_file():
            return []
        return [Missing(_address(entry), path, direct=False)]

    def offers(self) -> list[Offer]:
        """Return the form."""
        return [Offer(self.form, "robust networks of RobustBench, where it is installed")]


def _entry(rest: str) -> dict[str, Any]:
    """Return RobustBench's entry of a network.

    Raises:
        BadInput: when it has none of that name, or none of one file.
    """
    zoo = library("robustbench.model_zoo.models", "robustbench:", _INSTALL).model_dicts
    parts = rest.split("/")
    if len(parts) != 3 or parts[0] not in _CLASSES:
        what = f"expected robustbench:DATASET/THREAT/NAME with a data set of {', '.join(_CLASSES)}"
        raise BadInput(Problem("source", f"{what}, got {rest!r}"))
    here: Any = {str(data.value): kinds for data, kinds in zoo.items()}[parts[0]]
    here = {str(threat.value): networks for threat, networks in here.items()}
    for part, what in zip(parts[1:], ("threat", f"network for {parts[0]}"), strict=True):
        if part not in here:
            raise BadInput(Problem("source", suggest(part, list(here), what)))
        here = here[part]
    if not isinstance(here.get("gdrive_id"), str):
        what = "its weights are several files, or made by the package itself: not supported"
        raise BadInput(Problem("source", f"robustbench:{rest}: {what}"))
    return cast("dict[str, Any]", here)


def _place(rest: str) -> Path:
    return hub_folder() / "robustbench" / f"{rest}.pt"


def _address(entry: dict[str, Any]) -> str:
    return f"https://drive.google.com/file/d/{entry['gdrive_id']}"


def _weights(rest: str, entry: dict[str, Any]) -> Path:
    """Return the file of a network, which RobustBench keeps on Google Drive.

    Raises:
        BadInput: when it is not here, with where to get it; or when it is no checkpoint.
    """
    if not (path := _place(rest)).is_file():
        reason = "Google Drive asks a person first"
        raise unavailable(f"robustbench:{rest}", _address(entry), path, reason)
    open_checkpoint(path)
    return path
