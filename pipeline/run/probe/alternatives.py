"""Face models as their entries might have been meant: other published networks, other inputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gauntlet.pipeline.batch import Task
from gauntlet.pipeline.data.examples import open_examples
from gauntlet.pipeline.evaluation.clean_accuracy import better
from gauntlet.pipeline.files import expanded
from gauntlet.pipeline.models.build import build, network_key
from gauntlet.pipeline.models.model import Model
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.models.sources.file_source import candidates
from gauntlet.pipeline.models.sources.permission import Permission
from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.run.plan import Plan
from gauntlet.pipeline.run.probe.probe import FAIR
from gauntlet.pipeline.run.probe.verified import (
    CLEAR,
    CONFIGURED,
    Reading,
    Shown,
    best_of,
    others,
    some_of,
)

PAIRS = 256
"""Most pairs that a model is asked about, half of each kind."""
_FILE = "file:"


@dataclass(frozen=True)
class Advice:
    """What is said of one model.

    Attributes:
        text: a sentence.
        doubtful: whether its entry should be another one.
    """

    text: str
    doubtful: bool


def networks(spec: ModelSpec, root: Path, permission: Permission) -> Iterator[tuple[str, Model]]:
    """Yield a model as configured, and as the other published networks that its file fits.

    Where several networks fit and none is named, no model is the configured one.

    Raises:
        BadInput: when a model cannot be built.
    """
    names = _fitting(spec, root)
    several = len(names) > 1 and spec.architecture is None
    if not several:
        task = Task.VERIFICATION
        yield CONFIGURED, build(spec, root=root, task=task, permission=permission)
    for name in names:
        if several or (spec.architecture is not None and name != spec.architecture):
            made = build(spec.model_copy(update={"architecture": name}), root=root)
            yield f"architecture: {name}", made


def fits_best(readings: Mapping[str, Reading]) -> str:
    """Return which of several networks a file is of, and which others may be as well."""
    best = max(readings.values(), key=lambda one: one.result.accuracy_mean)
    alike = [
        reading.way
        for reading in readings.values()
        if reading is not best and better(best.right, reading.right)[1] >= CLEAR
    ]
    text = f"{best.way} fits best of {len(readings)}: name it in the model's entry"
    return f"{text} ({', '.join(alike)}: no worse beyond doubt)" if alike else text


def instead(best: Reading, given: Reading) -> str:
    """Return what fits better than a model's entry."""
    right, wrong = (100 * one.result.accuracy_mean for one in (best, given))
    said = f"with `{best.way}` {right:.1f} %, as configured {wrong:.1f} %"
    return f"{said}: write that in the model's entry"


def advise(plan: Plan, permission: Permission, rates: Mapping[str, float]) -> Iterator[Advice]:
    """Try every network that a file fits on pairs of a job, other inputs where a model is poor.

    Only pairs tell them apart: a plan of classification has nothing to say, nor has one whose data
    cannot be read, which is then said elsewhere.

    Args:
        plan: the job; its models may be ambiguous.
        permission: the code of the person's that may be run.
        rates: share of clean pairs that models are known to tell, by name; a model that is not
            there is asked only which of several networks it is.
    """
    asked = [] if plan.task.kind is not Task.VERIFICATION else list(_asked(plan, rates))
    if not asked:
        return
    try:
        data = plan.calibrate or plan.data
        examples = open_examples(data, plan.task.goal, root=plan.root, seed=plan.seed)
        shown = Shown.of(examples, some_of(examples.verification_pairs(), examples, PAIRS))
    except BadInput:
        return
    for spec in asked:
        poor = rates.get(spec.name, 1.0) < FAIR
        found = _advice(spec, plan.root, permission, shown, poor)
        if found is not None:
            yield found


def _advice(
    spec: ModelSpec, root: Path, permission: Permission, shown: Shown, poor: bool
) -> Advice | None:
    made = dict(networks(spec, root, permission))
    readings = read(made.items(), shown)
    given = readings.get(CONFIGURED)
    if given is None:
        return Advice(f"{spec.name}: {fits_best(readings)}", True) if readings else None
    if poor:
        readings |= read(others(made[CONFIGURED], shown.grey), shown)
    best = best_of(readings)
    if best is not None:
        return Advice(f"{spec.name}: {instead(best, given)}", True)
    if len(made) == 1:
        return None
    rate = f"{100 * given.result.accuracy_mean:.1f} %"
    what = f"none of the {len(made) - 1} other networks that its file fits is better beyond doubt"
    return Advice(f"{spec.name}: {what}, as configured {rate}", False)


def read(models: Iterable[tuple[str, Model]], shown: Shown) -> dict[str, Reading]:
    """Return what models say of pairs, without those whose network cannot take the images."""
    readings: dict[str, Reading] = {}
    for way, model in models:
        try:
            readings[way] = shown.to(model, way)
        except (RuntimeError, ValueError, TypeError, IndexError):
            continue
    return readings


def _asked(plan: Plan, rates: Mapping[str, float]) -> Iterator[ModelSpec]:
    """Yield the models of which something else might have been meant, each network once."""
    seen: set[str] = set()
    for spec in (*plan.surrogates, *plan.targets):
        key = network_key(spec)
        if key in seen or spec.defence is not None:
            continue
        if rates.get(spec.name, 1.0) < FAIR or len(_fitting(spec, plan.root)) > 1:
            seen.add(key)
            yield spec


def _fitting(spec: ModelSpec, root: Path) -> list[str]:
    """Return the architectures that the file of a spec fits; none for other sources."""
    path = root / expanded(spec.source.removeprefix(_FILE))
    if not spec.source.startswith(_FILE) or not path.is_file():
        return []
    try:
        return candidates(path, spec)
    except BadInput:  # said when the job is checked
        return []
