"""Whether networks can take what the attacks do inside them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from gauntlet.jobs.spec.checks.check import check
from gauntlet.jobs.spec.checks.parts import place, queries
from gauntlet.jobs.spec.job_draft import JobDraft
from gauntlet.jobs.spec.job_problems import nested
from gauntlet.jobs.spec.wording import Complaint
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.attacks.surgery.surgery import Surgery
from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.models import build
from gauntlet.pipeline.models.graph import default_layer, truncate
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.problems import BadInput


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


@check("root", "task")
def surgeries_and_layers(job: JobDraft) -> Iterator[Complaint]:
    """Surgeries that a surrogate's network does not allow, and layers that it lacks.

    Networks are made without downloading weights, one at a time, each once, and only those that an
    attack with a surgery or with an objective on a layer uses. Nothing is computed but the probe of
    folding: the layers that vanish in a run cannot be named.
    """
    known: dict[str, dict[Demand, list[Misfit]]] = {}
    wanted = [
        (attack, draft, list(demands(attack, job.task.goal))) for attack, draft in job.attacks
    ]
    for model in job.models:
        spec = model.spec
        if model.role != "surrogates" or spec is None:
            continue
        asked = [
            (draft, demand)
            for attack, draft, needs in wanted
            if attack.surrogates is None or model.name in attack.surrogates
            for demand in needs
        ]
        if not asked or job.wrong_with(model):
            continue  # what is wrong with the model itself has been reported
        # Models of one network are asked once.
        answers = known.setdefault(build.network_key(spec), {})
        if new := {demand for _, demand in asked} - answers.keys():
            try:
                network = _network(spec, job)
            except BadInput as error:
                yield from nested(model.draft.locate, error.problems)
                network = None
            except Exception as error:
                # A network that is made well can still fail when its batch norm is folded.
                what = f"its network cannot be made: {type(error).__name__}: {error}"
                yield Complaint(model.draft.home, what)
                network = None
            answers |= {
                demand: misfits(network, demand) if network is not None else [] for demand in new
            }
        for draft, demand in asked:
            for misfit in answers[demand]:
                what = misfit.reason.removeprefix(f"{misfit.part}: ")
                where = place(draft, misfit.part, misfit.field)
                yield Complaint(where, f"{misfit.part} on surrogate {model.name!r}: {what}")


def demands(attack: Attack, goal: Goal) -> Iterator[Demand]:
    """Yield what an attack wants of its surrogates' networks, its earlier attack's wishes first."""
    for query in queries(attack, goal):
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


def _network(spec: ModelSpec, job: JobDraft) -> nn.Module:
    """Return a sound surrogate's network as a run has it but for its weights."""
    # Random weights would be drawn from torch's own generator.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = build.build(
            build.weightless(spec),
            root=job.root,
            fold=job.resources.fold,
            task=job.task.kind,
            permission=job.permission,
            checked=True,
        )
    return made.network
