"""What `gauntlet models verify` does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gauntlet.jobs.cli.exit_status import Status
from gauntlet.jobs.cli.folders import find_job
from gauntlet.jobs.reports.terminal import Terminal, terminal
from gauntlet.jobs.spec.loading import open_job
from gauntlet.pipeline.batch import Goal, Task
from gauntlet.pipeline.data.examples import open_examples
from gauntlet.pipeline.evaluation.false_accepts import at_false_accept_rate
from gauntlet.pipeline.models.architectures.published import lfw_accuracies
from gauntlet.pipeline.models.model import Model
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.run.plan import Plan
from gauntlet.pipeline.run.probe.alternatives import fits_best, instead, networks
from gauntlet.pipeline.run.probe.verified import (
    CONFIGURED,
    Reading,
    Shown,
    best_of,
    doubtful,
    others,
    some_of,
)

_RATES = (1e-2, 1e-3, 1e-4)


@dataclass(frozen=True)
class Wanted:
    """What a person asked for.

    Attributes:
        model: name of a model of the job, or a source.
        job: whose data are used.
        changes: overrides of the job.
        architecture: of a `file:` source.
        key: of a `file:` source.
        pairs: most pairs.
        allowed: folders and packages that models may run code from.
    """

    model: str
    job: str
    changes: Sequence[str]
    architecture: str | None
    key: str | None
    pairs: int
    allowed: Sequence[str]


def verify_model(wanted: Wanted) -> int:
    """Print what a model says of a list of pairs, and whether another reading fits better.

    Raises:
        BadInput: when job, data or model are wrong.
    """
    # A job whose own models cannot be made yet is one to ask this of.
    loaded = open_job(find_job(wanted.job), list(wanted.changes), wanted.allowed, ())
    plan, out = loaded.plan, terminal(soft_wrap=True)
    if plan.task.kind is not Task.VERIFICATION:
        what = f"{plan.name} is a job of {plan.task.kind.value}: give one with pairs of faces"
        raise BadInput(Problem("--data", what))
    examples = open_examples(plan.data, Goal.IMPERSONATION, root=plan.root, seed=plan.seed)
    pairs = some_of(examples.verification_pairs(), examples, wanted.pairs)
    spec, root = _spec(wanted, plan)
    models = dict(networks(spec, root, loaded.permission))
    shown = Shown.of(examples, pairs)
    same, total = int(pairs.same.sum()), len(pairs.first)
    out.print(f"{total:,} pairs, {same:,} of one person and {total - same:,} of two")
    readings: dict[str, Reading] = {}
    for way, model in models.items():
        if way in (CONFIGURED, next(iter(models))):
            out.print(str(model.description))
        _try(readings, way, model, shown, out)
    if not readings:
        raise BadInput(Problem("source", f"{spec.source} could not be asked about any pair"))
    if CONFIGURED not in readings:  # none of several candidates was named: the best of them is it
        best = max(readings.values(), key=lambda one: one.result.accuracy_mean)
        out.print(fits_best(readings))
        readings = {CONFIGURED: best}
        models = {CONFIGURED: models[best.way]}
    for way, model in others(models[CONFIGURED], shown.grey):
        _try(readings, way, model, shown, out)
    _print_published(spec, models[CONFIGURED], out)
    return _conclude(readings, shown, out)


def _spec(wanted: Wanted, plan: Plan) -> tuple[ModelSpec, Path]:
    """Return the model that is asked for, and the folder that its paths start from."""
    known = {spec.name: spec for spec in (*plan.surrogates, *plan.targets)}
    spec = known.get(wanted.model)
    asked = {"architecture": wanted.architecture, "key": wanted.key}
    given = {field: value for field, value in asked.items() if value is not None}
    if spec is not None:
        return spec.model_copy(update=given), plan.root
    if ":" not in wanted.model and "/" not in wanted.model:
        what = f"{wanted.model!r} is no model of the job ({', '.join(known)}) and no source"
        raise BadInput(Problem("MODEL", what))
    return ModelSpec(name=wanted.model, source=wanted.model, **given), Path()


def _try(readings: dict[str, Reading], way: str, model: Model, shown: Shown, out: Terminal) -> None:
    """Ask a model, and print what it says; a size that its network cannot take is passed over.

    Raises:
        BadInput: when the model as configured cannot be asked.
    """
    try:
        readings[way] = shown.to(model, way)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        if way == CONFIGURED:
            reason = (str(error).strip().splitlines() or [""])[0]
            raise BadInput(Problem("source", f"cannot be asked about faces: {reason}")) from error
        return
    out.print(f"  {way}: {readings[way]}")


def _print_published(spec: ModelSpec, model: Model, out: Terminal) -> None:
    name = spec.architecture or model.description.guessed
    known = lfw_accuracies(name or "")
    if known:
        low, high = f"{known[0]:.2f}", f"{known[-1]:.2f}"
        which = low if low == high else f"{low} to {high}"
        out.print(f"published for {name}: {which} % on LFW")


def _conclude(readings: dict[str, Reading], shown: Shown, out: Terminal) -> int:
    given, best = readings[CONFIGURED], best_of(readings)
    if shown.grey:
        out.print("the images are grey: they show nothing of the channel order")
    if best is not None:
        out.print(instead(best, given))
        return Status.INCOMPLETE
    if doubtful(given):
        out.print(
            "it hardly tells people apart, and no other channel order, scale or size is better: "
            "are these its weights, and faces aligned as it wants them?"
        )
        return Status.INCOMPLETE
    out.print("no other channel order, scale or size is better beyond doubt")
    impostors = given.scores[~shown.pairs.same]
    for rate in _RATES:
        try:
            out.print(f"threshold {at_false_accept_rate(impostors, rate)}")
        except ValueError as error:
            out.print(f"threshold: {error}")
            break
    return Status.DONE
