"""``torchvision/NAME``: the classifiers of torchvision.models."""

from __future__ import annotations

import difflib
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, cast

from torch import nn

from gauntlet.pipeline.batch import Task
from gauntlet.pipeline.models.checkpoint import open_checkpoint
from gauntlet.pipeline.models.description import Description
from gauntlet.pipeline.models.matching import on_meta
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.models.preprocessing import Preprocessing, Triple
from gauntlet.pipeline.models.sources.constructors import (
    allowed_options,
    constructor_error,
    constructor_options,
    option_problems,
    weights_only,
)
from gauntlet.pipeline.models.sources.download import fetch_url, missing_url, url_problems
from gauntlet.pipeline.models.sources.source import Missing, Offer, Source, register
from gauntlet.pipeline.problems import BadInput, Problem, suggest

_OWN_INITIALISATION = ("googlenet", "inception_v3")


@register
class TorchvisionSource(Source):
    """Networks with torchvision's DEFAULT weights, or those that the option `weights` names."""

    form = "torchvision/NAME"
    downloads = True

    def problems(self, rest: str, spec: ModelSpec, root: Path) -> list[Problem]:
        """Return what is wrong with the name, the weights' name, the options or a cached file."""
        names = _names()
        if rest not in names:
            near = difflib.get_close_matches(rest, names, n=4, cutoff=0.4) or names[:4]
            return [Problem("source", suggest(rest, [*near, "..."], "torchvision model"))]
        try:
            weights = _weights(rest, spec)
        except BadInput as error:
            return list(error.problems)
        found: list[Problem] = []
        source = f"torchvision/{rest}"
        pretrained, others = constructor_options(spec)
        if pretrained:
            found += url_problems(source, weights.url)
        others.pop("weights", None)  # a name among the published ones, which has been looked up
        try:
            if wrong := option_problems(source, others, _options(rest) if others else set()):
                return [*found, *wrong]
            on_meta(lambda: _make(rest, None, _arguments(rest, spec)))
        except RuntimeError:
            pass  # a constructor that computes with values, which the meta device does not have
        except Exception as error:  # whatever nonsense in an option leads to
            found += constructor_error(source, error).problems
        return found

    def description(self, rest: str, spec: ModelSpec, root: Path) -> Description:
        """Return what the weights' own transforms say."""
        weights = _weights(rest, spec)
        transforms = weights.transforms()
        size = int(transforms.crop_size[0])
        names = tuple(weights.meta["categories"])
        pretrained, options = constructor_options(spec)
        bicubic = transforms.interpolation.value == "bicubic"
        return Description(
            Task.CLASSIFICATION,
            Preprocessing(
                input_size=(size, size),
                mean=cast(Triple, tuple(transforms.mean)),
                std=cast(Triple, tuple(transforms.std)),
                resize="bicubic" if bicubic else "bilinear",
            ),
            classes=int(options.get("num_classes", len(names))),
            class_names=names if pretrained and "num_classes" not in options else (),
        )

    def network(self, rest: str, spec: ModelSpec, root: Path) -> nn.Module:
        """Return the network."""
        source = f"torchvision/{rest}"
        pretrained, _ = constructor_options(spec)
        weights = _weights(rest, spec) if pretrained else None
        if weights is not None:
            open_checkpoint(fetch_url(source, weights.url))
        try:
            with weights_only():
                return _make(rest, weights, _arguments(rest, spec))
        except (RuntimeError, UnpicklingError) as error:
            # The first two lines of torch's message say which names differ.
            reason = " ".join(str(error).split()[:40])
            raise BadInput(Problem("source", f"the weights of {source}: {reason}")) from None
        except Exception as error:
            raise constructor_error(source, error) from None

    def missing(self, rest: str, spec: ModelSpec, root: Path) -> list[Missing]:
        """Return the weights' file, with the size that torchvision states."""
        pretrained, _ = constructor_options(spec)
        if not pretrained or rest not in _names():
            return []
        weights = _weights(rest, spec)
        return missing_url(weights.url, int(weights.meta["_file_size"] * 2**20))

    def offers(self) -> list[Offer]:
        """Return torchvision's classifiers."""
        return [Offer(self.form, "torchvision's ImageNet classifiers", tuple(_names()))]


def _names() -> list[str]:
    from torchvision import models

    return list(models.list_models(module=models))


def _weights(name: str, spec: ModelSpec) -> Any:
    from torchvision import models

    choices = models.get_model_weights(name)
    wanted = str(spec.options.get("weights", "DEFAULT"))
    if wanted not in choices.__members__:
        what = suggest(wanted, list(choices.__members__), f"weights of torchvision/{name}")
        raise BadInput(Problem("options", what))
    return choices[wanted]


def _arguments(name: str, spec: ModelSpec) -> dict[str, Any]:
    pretrained, others = constructor_options(spec)
    arguments: dict[str, Any] = {k: v for k, v in others.items() if k != "weights"}
    if name in _OWN_INITIALISATION:
        arguments = {"init_weights": False, **arguments}
    if not pretrained and name.startswith("vit_"):
        # A vision transformer's input size is fixed when it is made.
        size = int(_weights(name, spec).transforms().crop_size[0])
        arguments = {"image_size": size, **arguments}
    return arguments


def _options(name: str) -> set[str]:
    """Return the options that a job may give a network."""
    from torchvision import models

    return allowed_options(models.get_model_builder(name), lambda: _make(name, None, {}))


def _make(name: str, weights: Any, arguments: dict[str, Any]) -> nn.Module:
    from torchvision import models

    return cast(nn.Module, models.get_model(name, weights=weights, **arguments))
