"""From a model's spec to the model, to what is wrong with it, and to what it will do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from gauntlet.pipeline.batch import Task
from gauntlet.pipeline.models.adapter import Model
from gauntlet.pipeline.models.fold import fold_batch_norm
from gauntlet.pipeline.models.preprocessing import Preprocessing, in_bytes
from gauntlet.pipeline.models.sources import SOURCES, find_source
from gauntlet.pipeline.models.sources.permission import NOTHING, Permission
from gauntlet.pipeline.models.sources.source import Convention, Offer, Permitting
from gauntlet.pipeline.models.spec import ModelSpec
from gauntlet.pipeline.problems import BadInput, Problem

_NETWORK = {"source", "members", "task", "architecture", "key", "unfold_limit", "options"}
"""Fields of a spec that its source makes the network from."""


@dataclass(frozen=True)
class Description:
    """What `gauntlet check` prints of a model; `str` is one line.

    Attributes:
        name: the spec's.
        source: the spec's, with the architecture if one is named.
        task: what the output is for; None for an `import:` source that leaves it to the job.
        preprocessing: input size, resize, channel order, mean and std, mirror.
        defence: transform in front, or None.
        adversarial: how the weights were trained adversarially, or None.
        classes: number of a classifier's logits, where it is known without building it.
        ran: files of the person's own code that make the network; they have been run.
    """

    name: str
    source: str
    task: Task | None
    preprocessing: Preprocessing
    defence: str | None
    adversarial: str | None
    classes: int | None
    ran: tuple[Path, ...] = ()

    def __str__(self) -> str:
        classes = f", {self.classes:,} classes" if self.classes else ""
        task = f"{self.task.value}{classes}; " if self.task else ""
        defence = f"; behind {self.defence}" if self.defence else ""
        training = f"; adversarially trained ({self.adversarial})" if self.adversarial else ""
        ran = f"; ran {' and '.join(map(str, self.ran))}" if self.ran else ""
        return f"{self.name}: {self.source}{ran}; {task}{self.preprocessing}{defence}{training}"


def build(
    spec: ModelSpec,
    *,
    root: Path = Path("."),
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    fold: bool = False,
    task: Task | None = None,
    permission: Permission = NOTHING,
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

    Raises:
        BadInput: with everything that is wrong, weights that cannot be had included.
    """
    if found := check(spec, root, task, permission=permission):
        raise BadInput(found)
    return assemble(
        spec, root=root, device=device, dtype=dtype, fold=fold, task=task, permission=permission
    )


def assemble(
    spec: ModelSpec,
    *,
    root: Path = Path("."),
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    fold: bool = False,
    task: Task | None = None,
    permission: Permission = NOTHING,
) -> Model:
    """Return the model of a spec in which `check` has found nothing; all else is as of `build`.

    Raises:
        BadInput: when weights cannot be had.
    """
    source, rest = find_source(spec.source, permission)
    convention = source.convention(rest, spec, root)
    # In half precision, too, it is known, and folded, by its weights in float32.
    wide = torch.promote_types(dtype, torch.float32)
    model = Model(
        source.network(rest, spec, root).to(device, wide),
        name=spec.name,
        task=convention.task or spec.task or task or Task.CLASSIFICATION,
        preprocessing=_preprocessing(spec, convention),
        defence=spec.defence,
        adversarial=_training(spec, convention),
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
        source, rest = find_source(spec.source, permission)
    except BadInput as error:
        return [*found, *error.problems]
    if spec.members and not spec.source.startswith("mean:"):
        found.append(Problem("members", f"only a mean: source has any, not {spec.source!r}"))
    if spec.architecture is not None and not spec.source.startswith("file:"):
        found.append(Problem("architecture", f"only a file: source takes one, not {spec.source!r}"))
    for field in ("key", "unfold_limit"):
        if getattr(spec, field) is not None and not spec.source.startswith(("file:", "trained:")):
            what = f"only a file: source takes one, not {spec.source!r}"
            found.append(Problem(field, what))
    networks = {} if networks is None else networks
    network = network_key(spec)
    if network not in networks:
        networks[network] = source.problems(rest, spec, root)
    if wrong := networks[network]:
        return [*found, *wrong]
    convention = source.convention(rest, spec, root)
    native = convention.task
    if native is not None and spec.task not in (None, native):
        found.append(Problem("task", f"{spec.source} is a {native.value} model"))
    does = native or spec.task or task
    if task is not None and does is not None and does is not task:
        what = f"{spec.source} is a {does.value} model, the job's task is {task.value}"
        if spec.source.startswith("timm/") and task is Task.VERIFICATION:
            what += "; 'options: {num_classes: 0}' makes it give embeddings"
        found.append(Problem("source", what))
    if known := _contradiction(spec, convention):
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
    source, rest = find_source(spec.source, permission)
    if found := source.problems(rest, spec, root):
        raise BadInput(found)
    convention = source.convention(rest, spec, root)
    return Description(
        name=spec.name,
        source=spec.source + (f" ({spec.architecture})" if spec.architecture else ""),
        task=convention.task or spec.task,
        preprocessing=_preprocessing(spec, convention),
        defence=None if spec.defence is None else str(spec.defence),
        adversarial=_training(spec, convention),
        classes=convention.classes,
        ran=convention.ran,
    )


def own_code(
    specs: Sequence[ModelSpec], root: Path, task: Task, permission: Permission
) -> tuple[Path, ...]:
    """Return the files of the person's own code that make models, each once; they have been run.

    Raises:
        BadInput: with what is wrong with any model that is, or has, an `import:`.
    """
    ran: list[Path] = []
    problems: list[Problem] = []
    for spec in specs:
        source, rest = find_source(spec.source, permission)
        if not isinstance(source, Permitting):
            continue
        if found := check(spec, root, task, permission=permission):
            problems += [Problem(f"model {spec.name!r}: {p.where}", p.what) for p in found]
        else:
            ran += source.convention(rest, spec, root).ran
    if problems:
        raise BadInput(problems)
    return tuple(dict.fromkeys(ran))


def catalogue() -> list[Offer]:
    """Return everything that can be named in a `source` or an `architecture`."""
    return [offer for source in SOURCES.values() for offer in source.offers()]


def _preprocessing(spec: ModelSpec, convention: Convention) -> Preprocessing:
    """Return the source's convention with the spec's own fields in place of it."""
    own = convention.preprocessing
    mean, std = spec.mean or own.mean, spec.std or own.std
    return Preprocessing(
        input_size=spec.input_size or own.input_size,
        mean=mean,
        std=std,
        channels=spec.channels or own.channels,
        resize=spec.resize or own.resize,
        mirror=spec.mirror,
    )


def _training(spec: ModelSpec, convention: Convention) -> str | None:
    """Return how the weights were trained adversarially, or None."""
    return convention.adversarial or ("as the job states" if spec.adversarial else None)


def _contradiction(spec: ModelSpec, convention: Convention) -> str | None:
    """Return what the source knows of the weights' training and the spec denies, or None."""
    if spec.adversarial is False and convention.adversarial:
        return f"{spec.source} was trained adversarially ({convention.adversarial})"
    if spec.adversarial and convention.adversarial is False:
        return f"{spec.source} was not trained adversarially"
    return None


def _field_problems(spec: ModelSpec) -> list[Problem]:
    found = []
    if spec.input_size is not None and min(spec.input_size) < 1:
        found.append(Problem("input_size", f"must be positive, got {spec.input_size}"))
    if spec.std is not None and min(spec.std) <= 0:
        found.append(Problem("std", f"must be positive, got {spec.std}"))
    elif wrong := in_bytes(spec.mean, spec.std):
        found.append(Problem(*wrong))
    return found
