"""``timm/NAME``: the networks of timm, with or without a tag (``resnet50.a1_in1k``)."""

from __future__ import annotations

import difflib
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, cast

from torch import nn

from gauntlet.pipeline.batch import Task
from gauntlet.pipeline.models.description import Description
from gauntlet.pipeline.models.file_format import identify
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
from gauntlet.pipeline.models.sources.download import (
    cached_hub,
    cached_url,
    fetch_hub,
    fetch_url,
    hub_problems,
    missing_hub,
    missing_url,
    url_problems,
)
from gauntlet.pipeline.models.sources.source import Missing, Offer, Source, register
from gauntlet.pipeline.problems import BadInput, Problem

_HUB_NAMES = ("model.safetensors", "pytorch_model.bin")


@register
class TimmSource(Source):
    """Networks with timm's pretrained weights and input convention."""

    form = "timm/NAME"
    downloads = True
    embeds = "'options: {num_classes: 0}' makes it give embeddings"

    def problems(self, rest: str, spec: ModelSpec, root: Path) -> list[Problem]:
        """Return what is wrong with the name, the options or a cached file."""
        try:
            config = _config(rest)
        except BadInput as error:
            return list(error.problems)
        source, found = f"timm/{rest}", []
        pretrained, others = constructor_options(spec)
        if pretrained:
            if not config.has_weights:
                what = (
                    f"timm has no weights for {rest!r}; 'options: {{pretrained: false}}' is random"
                )
                return [Problem("source", what)]
            if config.hf_hub_id and not _cached_release(config):
                found += hub_problems(source, config.hf_hub_id, _hub_names(config))
            elif config.url:
                found += url_problems(source, config.url)
        try:
            if wrong := option_problems(source, others, _options(rest) if others else set()):
                return [*found, *wrong]
            on_meta(lambda: _make(rest, **others))
        except RuntimeError:
            pass  # a constructor that computes with values, which the meta device does not have
        except Exception as error:  # whatever nonsense in an option leads to
            found += constructor_error(source, error).problems
        return found

    def description(self, rest: str, spec: ModelSpec, root: Path) -> Description:
        """Return timm's data configuration of these weights."""
        config = _config(rest)
        pretrained, others = constructor_options(spec)
        size = int(others["img_size"]) if "img_size" in others else None
        height, width = (size, size) if size else config.input_size[1:]
        return Description(
            Task.VERIFICATION if others.get("num_classes") == 0 else Task.CLASSIFICATION,
            Preprocessing(
                input_size=(int(height), int(width)),
                mean=cast(Triple, tuple(config.mean)),
                std=cast(Triple, tuple(config.std)),
                resize="bicubic" if config.interpolation == "bicubic" else "bilinear",
            ),
            _adversarial(config, pretrained),
            int(others.get("num_classes", config.num_classes)) or None,
            _class_names(config) if pretrained and "num_classes" not in others else (),
        )

    def network(self, rest: str, spec: ModelSpec, root: Path) -> nn.Module:
        """Return the network."""
        config, source = _config(rest), f"timm/{rest}"
        pretrained, others = constructor_options(spec)
        arguments: dict[str, Any] = dict(others)
        if pretrained:
            release = _cached_release(config)
            if config.hf_hub_id and release is None:
                path = fetch_hub(source, config.hf_hub_id, _hub_names(config))
            else:
                path = fetch_url(source, config.url)
            overlay: dict[str, Any] = {"file": str(path)}
            if identify(path) == "safetensors":
                overlay["custom_load"] = False  # which is for the NumPy archives of the releases
            # timm renames the entries of older files itself.
            arguments |= {"pretrained": True, "pretrained_cfg_overlay": overlay}
        try:
            with weights_only():
                return _make(rest, **arguments)
        except (RuntimeError, UnpicklingError) as error:
            reason = " ".join(str(error).split()[:40])
            raise BadInput(Problem("source", f"the weights of {source}: {reason}")) from None
        except Exception as error:
            raise constructor_error(source, error) from None

    def missing(self, rest: str, spec: ModelSpec, root: Path) -> list[Missing]:
        """Return the weights' file."""
        config = _config(rest)
        pretrained, _ = constructor_options(spec)
        if not pretrained or not config.has_weights:
            return []
        if config.hf_hub_id and not _cached_release(config):
            return missing_hub(config.hf_hub_id, _hub_names(config))
        return missing_url(config.url) if config.url else []

    def offers(self) -> list[Offer]:
        """Return the names of timm's networks, without tags."""
        import timm

        return [Offer(self.form, "networks of timm", tuple(timm.list_models()))]


def _config(name: str) -> Any:
    """Return timm's description of a network's weights."""
    import timm

    base = name.partition(".")[0]
    if not timm.is_model(base):
        known = timm.list_models()
        near = difflib.get_close_matches(base, known, n=3, cutoff=0.5)
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        what = f"unknown timm model {name!r}{hint} ({len(known)} known; see 'gauntlet models')"
        raise BadInput(Problem("source", what))
    try:
        config = timm.get_pretrained_cfg(name)
    except RuntimeError:
        tags = ", ".join(timm.list_models(f"{base}.*", pretrained=True)) or "none"
        what = f"unknown weights of timm/{base}: {name!r}; known: {tags}"
        raise BadInput(Problem("source", what)) from None
    if config is None:
        raise BadInput(Problem("source", f"timm describes no input convention for {name!r}"))
    return config


def _adversarial(config: Any, pretrained: bool) -> str | None:
    """Return timm's tag of weights, such as ``tf_ens_adv_in1k``, if it names such a training."""
    tag = str(config.tag or "")
    return f"timm's {tag}" if pretrained and "adv" in tag.split("_") else None


def _class_names(config: Any) -> tuple[str, ...]:
    """Return the synsets of weights that were trained on ImageNet or a part of it."""
    from timm.data import ImageNetInfo, infer_imagenet_subset

    subset = infer_imagenet_subset({"num_classes": config.num_classes})
    return () if subset is None else tuple(ImageNetInfo(subset).label_names())


def _options(name: str) -> set[str]:
    """Return the options that a job may give a network."""
    import timm

    entry = timm.model_entrypoint(name.partition(".")[0])
    return allowed_options(entry, lambda: _make(name))


def _make(name: str, **arguments: Any) -> nn.Module:
    import timm

    return cast(nn.Module, timm.create_model(name, **arguments))


def _hub_names(config: Any) -> tuple[str, ...]:
    return (config.hf_hub_filename,) if config.hf_hub_filename else _HUB_NAMES


def _cached_release(config: Any) -> Path | None:
    """Return a file that older versions of timm have fetched from the release page."""
    if config.hf_hub_id and cached_hub(config.hf_hub_id, _hub_names(config)):
        return None
    return cached_url(config.url) if config.url else None
