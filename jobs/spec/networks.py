"""Whether networks can take what the attacks do inside them, and images the grids of cells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from gauntlet.jobs.spec.draft import Draft
from gauntlet.jobs.spec.findings import Findings
from gauntlet.jobs.spec.models import Listed
from gauntlet.jobs.spec.yaml_source import Where
from gauntlet.pipeline.attacks.query import Query
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.attacks.surgery.surgery import Surgery
from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.data.spec import DataSpec
from gauntlet.pipeline.interactions import InteractionSpec
from gauntlet.pipeline.interactions.cells import Grid
from gauntlet.pipeline.models import build
from gauntlet.pipeline.models.graph import default_layer, truncate
from gauntlet.pipeline.models.sources.permission import Permission
from gauntlet.pipeline.models.spec import ModelSpec
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.run.plan import TaskSpec

_DOWNLOADED = ("timm/", "torchvision/", "facenet/")


@dataclass(frozen=True)
class Demand:
    """What an attack wants of a network's inside.

    Attributes:
        surgeries: done one after the other.
        objective: token of an objective that reads a layer, or None.
        layer: which layer that is; None for the family's default.
    """

    surgeries: tuple[Surgery, ...]
    objective: str | None = None
    layer: str | None = None


@dataclass(frozen=True)
class Misfit:
    """Something that a network cannot take.

    Attributes:
        part: token of the surgery or of the objective.
        reason: what is missing in the network.
        field: of the part's options, if one is at fault.
    """

    part: str
    reason: str
    field: str | None = None


def check_fit(
    attacks: Sequence[tuple[Attack, Draft]],
    models: Sequence[Listed],
    task: TaskSpec,
    root: Path,
    fold: bool,
    findings: Findings,
    permission: Permission,
) -> None:
    """Report surgeries that a surrogate's network does not allow, and layers that it lacks.

    Networks are made without downloading weights, one at a time, and only those that an attack with
    a surgery or with an objective on a layer uses. Nothing is computed but the probe of folding.

    Args:
        attacks: the sound attacks.
        models: all models.
        task: what the job does.
        root: folder that relative paths start from.
        fold: whether the run folds batch norm; the layers that vanish then cannot be named.
        findings: collects the problems, each at the attack's line.
        permission: the code of the person's that `import:` sources may run.
    """
    checked: dict[str, list[Problem]] = {}
    known: dict[str, dict[Demand, list[Misfit]]] = {}
    wanted = [(attack, draft, list(demands(attack, task.goal))) for attack, draft in attacks]
    for model in models:
        if model.role != "surrogates" or model.spec is None:
            continue
        asked = [
            (draft, demand)
            for attack, draft, needs in wanted
            if attack.surrogates is None or model.name in attack.surrogates
            for demand in needs
        ]
        if not asked or build.check(model.spec, root, task.kind, permission, checked):
            continue  # what is wrong with the model itself has been reported
        # Models of one network are asked once.
        answers = known.setdefault(build.network_key(model.spec), {})
        if new := {demand for _, demand in asked} - answers.keys():
            network = _network(model, model.spec, task, root, fold, findings, permission)
            answers |= {
                demand: misfits(network, demand) if network is not None else [] for demand in new
            }
        for draft, demand in asked:
            for misfit in answers[demand]:
                what = misfit.reason.removeprefix(f"{misfit.part}: ")
                place = _place(draft, misfit)
                findings.add(place, f"{misfit.part} on surrogate {model.name!r}: {what}")


def check_grids(
    attacks: Sequence[tuple[Attack, Draft]],
    interactions: InteractionSpec | None,
    data: DataSpec,
    goal: Goal,
    root: Path,
    findings: Findings,
) -> None:
    """Report grids of cells that are finer than the images, or that leave a rest where none may be.

    Nothing is reported where the images' size is not known before they are decoded.

    Args:
        attacks: the sound attacks.
        interactions: what is measured of each perturbation, if anything.
        data: the job's data.
        goal: what the attacker wants.
        root: folder that relative paths start from.
        findings: collects the problems, each at the grid's line.
    """
    size = data.image_size(root)
    if size is None:
        return
    if interactions is not None:
        # Only single pairs of cells need every pixel in a cell.
        whole = bool(interactions.orders) or interactions.neighbours is not None
        if reason := _refusal(interactions.cells, size, whole):
            findings.add(("evaluate", "interactions", "grid"), reason)
    for attack, draft in attacks:
        for query in _queries(attack, goal):
            penalty = query.penalty
            if penalty is None or penalty.cell_grid is None:
                continue
            if reason := _refusal(penalty.cell_grid, size):
                field = "grid" if "grid" in penalty.model_fields_set else None
                place = _place(draft, Misfit(penalty.token, reason, field))
                findings.add(place, f"{penalty.token}: {reason}")


def demands(attack: Attack, goal: Goal) -> Iterator[Demand]:
    """Yield what an attack wants of its surrogates' networks, its earlier attack's wishes first."""
    for query in _queries(attack, goal):
        surgeries = tuple(sorted(query.surgeries, key=lambda surgery: surgery.order))
        for layer in query.objective.layers:
            yield Demand(surgeries, query.objective.token, layer)
        if surgeries and not query.objective.layers:
            yield Demand(surgeries)


def misfits(network: nn.Module, demand: Demand) -> list[Misfit]:
    """Return what a network cannot take; it stays as it is."""
    found = []
    rewritten = network
    for surgery in demand.surgeries:
        try:
            rewritten = surgery.rewrite(rewritten)
        except ValueError as error:
            found.append(Misfit(surgery.token, str(error)))
    if demand.objective is not None:
        try:
            # The default is that of the network without surgeries, as in a run.
            truncate(rewritten, demand.layer or default_layer(network))
        except ValueError as error:
            found.append(Misfit(demand.objective, str(error), "layer"))
    return found


def _refusal(grid: Grid, size: tuple[int, int], whole: bool = False) -> str | None:
    """Return why a grid does not fit on images, or None; ``whole``: every pixel needs a cell."""
    try:
        grid.labels(*size, exact=whole and grid.borders == "floor")
    except ValueError as error:
        return str(error)
    return None


def _queries(attack: Attack, goal: Goal) -> Iterator[Query]:
    """Yield what an attack asks of its surrogates, the question of its earlier attack first."""
    try:
        query = attack.query(goal)
    except ValueError:
        return  # does not exist for the goal, which has been reported
    guide = query.objective.guide()
    if guide is not None:
        yield from _queries(attack.guide(guide), goal)
    yield query


def _network(
    model: Listed,
    spec: ModelSpec,
    task: TaskSpec,
    root: Path,
    fold: bool,
    findings: Findings,
    permission: Permission,
) -> nn.Module | None:
    """Return a surrogate's network as a run has it but for its weights, or report why not."""
    try:
        # Random weights would be drawn from torch's own generator.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            made = build.build(
                _undownloaded(spec), root=root, fold=fold, task=task.kind, permission=permission
            )
    except BadInput as error:
        findings.add_nested(model.draft.locate, error.problems)
        return None
    except Exception as error:
        # A network that is made well can still fail when its batch norm is folded.
        what = f"its network cannot be made: {type(error).__name__}: {error}"
        findings.add(model.draft.home, what)
        return None
    return made.network


def _undownloaded(spec: ModelSpec) -> ModelSpec:
    """Return the spec with random weights wherever the weights would be downloaded."""
    members = tuple(_undownloaded(member) for member in spec.members)
    options = dict(spec.options)
    if spec.source.startswith(_DOWNLOADED):
        options["pretrained"] = False
    return spec.model_copy(update={"members": members, "options": options})


def _place(draft: Draft, misfit: Misfit) -> Where:
    """Return where the attack says what does not fit: the part's options, or where it is named."""
    options = draft.fields.get("options")
    given = options.get(misfit.part) if isinstance(options, dict) else None
    if misfit.field and isinstance(given, dict) and misfit.field in given:
        return draft.locate(("options", misfit.part, misfit.field))
    if given is not None:
        return draft.locate(("options", misfit.part))
    return draft.locate(("objective" if misfit.field else "base",))
