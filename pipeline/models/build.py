"""From a model's spec to the model, to what is wrong with it, and to what it will do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from gauntlet.pipeline.batch import Task
from gauntlet.pipeline.models import mean
from gauntlet.pipeline.models.description import Description
from gauntlet.pipeline.models.fold import fold_batch_norm
from gauntlet.pipeline.models.model import Model
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.models.preprocessing import in_bytes
from gauntlet.pipeline.models.sources.permission import NOTHING, Permission
from gauntlet.pipeline.models.sources.source import (
    Offer,
    Permitting,
    Source,
    catalogue,
    find_source,
)
from gauntlet.pipeline.problems import BadInput, Problem

_NETWORK = {
    "source", "members", "task", "architecture", "key", "sha256", "files", "unfold_limit",
    "options",
}  # fmt: skip
"""Fields of a spec that its source makes the network from."""


def build(
    spec: ModelSpec,
    *,
    root: Path = Path("."),
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    fold: bool = False,
    task: Task | None = None,
    permission: Permission = NOTHING,
    checked: bool = False,
) -> Model:
    """Return a spec's model, frozen, in eval mode, in its adapter.

    Args:
        spec: which model.
        root: folder that relative paths start from.
        device: where its weights go.
        dtype: floating point type of the weights; images are float32 at least.
        fold: whether batch norm is folded (`fold_batch_norm` also says whether it could be).
        task: what the job does; for an `import:` source whose spec does not say.
        permission: the code of the person's that an `import:` may run.
        checked: whether `check` has found nothing in this spec, and is not asked again.

    Raises:
        BadInput: with everything that is wrong, weights that cannot be had included.
    """
    if not checked and (found := check(spec, root, task, permission=permission)):
        raise BadInput(found)
    described = _described(spec, root, permission).stated(spec)
    # In half precision, too, it is known, and folded, by its weights in float32.
    wide = torch.promote_types(dtype, torch.float32)
    model = Model(
        _network(spec, root, permission).to(device, wide),
        replace(described, task=described.task or task),
        spec=spec,
    )
    # The adapter's own numbers, for a network that has none to take the type from.
    model = model.to(device, wide)
    return (fold_batch_norm(model).model if fold else model).to(dtype)


def check(
    spec: ModelSpec,
    root: Path,
    task: Task | None = None,
    permission: Permission = NOTHING,
    networks: dict[str, list[Problem]] | None = None,
) -> list[Problem]:
    """Return everything wrong with a spec, without running any model.

    Checkpoints are compared with the network by name and shape; `import:` modules that may be run
    are imported. Weights that a build would download are not looked for, unless downloads are
    switched off.

    Args:
        spec: which model.
        root: folder that relative paths start from.
        task: what the job does, if the model has to fit one.
        permission: the code of the person's that an `import:` may run.
        networks: what was found wrong with the networks of other specs, which need not be looked
            at again; this one's is put there.

    Returns:
        Problems whose ``where`` is the field of the spec.
    """
    found = _field_problems(spec)
    try:
        source = None if mean.is_mean(spec) else find_source(spec, permission)[0]
    except BadInput as error:
        return [*found, *error.problems]
    found += _foreign_fields(spec, source)
    networks = {} if networks is None else networks
    network = network_key(spec)
    if network not in networks:
        networks[network] = _network_problems(spec, root, permission)
    if wrong := networks[network]:
        return [*found, *wrong]
    described = _described(spec, root, permission)
    native = described.task
    if native is not None and spec.task is not None and spec.task.embeds is not native.embeds:
        found.append(Problem("task", f"{spec.source} is a {native.value} model"))
    does = native or spec.task or task
    if task is not None and does is not None and does.embeds is not task.embeds:
        an = "an" if does is Task.EMBEDDING else "a"
        what = f"{spec.source} is {an} {does.value} model, the job's task is {task.value}"
        if source is not None and (advice := source.embeds if task.embeds else source.classifies):
            what += f"; {advice}"
        found.append(Problem("source", what))
    if known := described.contradiction(spec):
        found.append(Problem("adversarial", known))
    if spec.mirror and does is Task.CLASSIFICATION:
        found.append(Problem("mirror", "only embeddings of a verification model can be added"))
    return found


def network_key(spec: ModelSpec) -> str:
    """Return what two specs of one network share, however they prepare its input."""
    return spec.model_dump_json(include=_NETWORK)


def describe(spec: ModelSpec, root: Path, permission: Permission = NOTHING) -> Description:
    """Return what a spec's model takes and does, without building it; arguments as of `check`.

    Raises:
        BadInput: when the spec names nothing known; `check` tells more.
    """
    if found := _network_problems(spec, root, permission):
        raise BadInput(found)
    return _described(spec, root, permission).stated(spec)


def own_code(
    specs: Sequence[ModelSpec],
    root: Path,
    task: Task,
    permission: Permission,
    checked: bool = False,
) -> tuple[Path, ...]:
    """Return the files of the person's own code that make models, each once; they have been run.

    Args:
        specs: all models.
        root: folder that relative paths start from.
        task: what the job does.
        permission: the code of the person's that an `import:` may run.
        checked: whether `check` has found nothing in these specs, and is not asked again.

    Raises:
        BadInput: with what is wrong with any model.
    """
    ran: list[Path] = []
    problems: list[Problem] = []
    networks: dict[str, list[Problem]] = {}
    for spec in specs:
        found = [] if checked else check(spec, root, task, permission, networks)
        problems += [Problem(f"model {spec.name!r}: {p.where}", p.what) for p in found]
        if not found and any(isinstance(source, Permitting) for source in _sources(spec)):
            ran += _described(spec, root, permission).ran
    if problems:
        raise BadInput(problems)
    return tuple(dict.fromkeys(ran))


def offers() -> list[Offer]:
    """Return everything that can be named in a `source` or an `architecture`."""
    every = [offer for source in catalogue() for offer in source.offers()]
    return [*every, Offer(mean.FORM, "the mean of the logits of the models in `members`")]


def weights_file(spec: ModelSpec, root: Path) -> Path | None:
    """Return the file whose content says which weights a spec's are, if there is one."""
    try:
        source, rest, _ = find_source(spec)
    except BadInput:  # said when the spec is checked
        return None
    return source.weights_file(rest, root)


def downloads(spec: ModelSpec) -> bool:
    """Return whether any of a spec's weights come from the network."""
    return any(source.downloads for source in _sources(spec))


def _sources(spec: ModelSpec) -> list[Source]:
    """Return the sources of a spec's networks, its members' in its place.

    Raises:
        BadInput: when one is unknown.
    """
    if mean.is_mean(spec):
        return [source for member in spec.members for source in _sources(member)]
    return [find_source(spec)[0]]


def weightless(spec: ModelSpec) -> ModelSpec:
    """Return a spec of the same networks that needs no download, with random weights instead.

    Raises:
        BadInput: when its source is unknown.
    """
    if mean.is_mean(spec):
        members = tuple(map(weightless, spec.members))
        return spec.model_copy(update={"members": members})
    return find_source(spec)[0].weightless(spec)


def _network_problems(spec: ModelSpec, root: Path, permission: Permission) -> list[Problem]:
    """Return what is wrong with what a spec says of its network."""
    if mean.is_mean(spec):
        known: dict[str, list[Problem]] = {}
        does = Task.CLASSIFICATION
        return mean.problems(spec, lambda one: check(one, root, does, permission, known))
    source, rest, now = find_source(spec, permission)
    return source.problems(rest, now, root)


def _described(spec: ModelSpec, root: Path, permission: Permission) -> Description:
    """Return what is known of a spec's network, before the job's own words."""
    if mean.is_mean(spec):
        return mean.description([_described(one, root, permission) for one in spec.members])
    source, rest, now = find_source(spec, permission)
    return source.description(rest, now, root)


def _network(spec: ModelSpec, root: Path, permission: Permission) -> nn.Module:
    if mean.is_mean(spec):
        does = Task.CLASSIFICATION
        return mean.network(
            spec, lambda one: build(one, root=root, task=does, permission=permission)
        )
    source, rest, now = find_source(spec, permission)
    return source.network(rest, now, root)


def _foreign_fields(spec: ModelSpec, source: Source | None) -> list[Problem]:
    """Return a problem for each field that a spec's source, or its mean, does not read."""
    found = []
    if spec.members and source is not None:
        found.append(Problem("members", f"only a mean: source has any, not {spec.source!r}"))
    reads = source.fields if source is not None else ()
    for field in ("architecture", "key", "sha256", "unfold_limit", "fetch"):
        if getattr(spec, field) is not None and field not in reads:
            what = f"only a file: source takes one, not {spec.source!r}"
            found.append(Problem(field, what))
    if spec.files and "files" not in reads:
        found.append(Problem("files", f"only an import: source takes any, not {spec.source!r}"))
    return found


def _field_problems(spec: ModelSpec) -> list[Problem]:
    found = []
    if spec.input_size is not None and min(spec.input_size) < 1:
        found.append(Problem("input_size", f"must be positive, got {spec.input_size}"))
    if spec.std is not None and min(spec.std) <= 0:
        found.append(Problem("std", f"must be positive, got {spec.std}"))
    elif wrong := in_bytes(spec.mean, spec.std):
        found.append(Problem(*wrong))
    return found
