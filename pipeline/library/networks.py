"""Networks as people have them: modules, functions, adapted models, and sources by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from itertools import count
from typing import TypeAlias

from torch import nn

from gauntlet.pipeline.batch import Task
from gauntlet.pipeline.models.build import build
from gauntlet.pipeline.models.model import Model, Network, adapt
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.run.plan_models import device

Networks: TypeAlias = Mapping[str, Network | str] | Sequence[Network | str]
"""Modules, functions of images, models of `adapt`, and sources such as ``zoo/NAME``; a mapping
names them."""


def named(networks: Networks, task: Task, role: str) -> list[Model]:
    """Return models with names of their own, which key their draws.

    Args:
        networks: a mapping names them. In a list a model keeps its name, a source gives its last
            part, and any other network is ``ROLE-POSITION``; of several with one name all but the
            first are called ``NAME-2``, ``NAME-3``.
        task: what those do that do not say.
        role: what a nameless one is called.

    Raises:
        TypeError: when it is one network, something else than networks, or a name is no text.
        BadInput: when no such source is known, or it cannot be had.
    """
    if isinstance(networks, Mapping):
        if nameless := [name for name in networks if not isinstance(name, str)]:
            what = f"{nameless[0]!r} ({type(nameless[0]).__name__})"
            raise TypeError(f"the names of {role}s must be texts, got {what}")
        return [_called(name, _model(net, name, task)) for name, net in networks.items()]
    if isinstance(networks, str):
        raise TypeError(f"{role}s must be a list, got one name: write [{networks!r}]")
    if callable(networks) and not isinstance(networks, nn.ModuleList):
        name = getattr(networks, "__name__", type(networks).__name__)
        raise TypeError(f"{role}s must be a list, got one {name}: write [net]")
    models = [_model(net, f"{role}-{place}", task) for place, net in enumerate(networks)]
    return _apart(models)


def listed(networks: Networks | Iterator[Network | str]) -> Networks:
    """Return networks that can be gone through again: what a generator yields, as a list."""
    return [*networks] if isinstance(networks, Iterator) else networks


def in_training(networks: Networks, role: str) -> list[str]:
    """Return the names of networks in training mode, as `named` gives them to modules."""
    pairs: Iterable[tuple[object, Network | str]] = (
        networks.items()
        if isinstance(networks, Mapping)
        else ((f"{role}-{place}", net) for place, net in enumerate(networks))
    )
    return [str(name) for name, net in pairs if isinstance(net, nn.Module) and net.training]


def _model(network: Network | str, name: str, task: Task) -> Model:
    if isinstance(network, Model):
        return network
    if not isinstance(network, str):
        return adapt(network, name=name, task=task)
    last = network.replace(":", "/").rstrip("/").rpartition("/")[2]
    return build(ModelSpec(name=last, source=network), device=device(), task=task)


def _called(name: str, model: Model) -> Model:
    """Return the model under a name; it shares everything else with the caller's."""
    if model.name == name:
        return model
    model = copy(model)
    model.description = replace(model.description, name=name)
    return model


def _apart(models: Sequence[Model]) -> list[Model]:
    taken = {model.name for model in models}
    apart: list[Model] = []
    for model in models:
        if any(model.name == other.name for other in apart):
            name = next(n for i in count(2) if (n := f"{model.name}-{i}") not in taken)
            taken.add(name)
            model = _called(name, model)
        apart.append(model)
    return apart
