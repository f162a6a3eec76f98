"""What `gauntlet plan` does."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch

from gauntlet.actors.devices import Devices, this_machine
from gauntlet.actors.layout import Layout
from gauntlet.actors.outlook import BatchTimes, layout_on, outlook, units_of
from gauntlet.jobs.cli.exit_status import Status
from gauntlet.jobs.cli.folders import find_job
from gauntlet.jobs.cli.outlook import print_outlook
from gauntlet.jobs.cli.readiness import changed
from gauntlet.jobs.reports.terminal import terminal
from gauntlet.jobs.spec.checks.inspection import WITHOUT_MODELS
from gauntlet.jobs.spec.loading import LoadedJob, open_job
from gauntlet.pipeline.data.examples import Examples, open_examples
from gauntlet.pipeline.data.gallery_images import open_gallery
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.problems import BadInput, Problem, Problems, suggest
from gauntlet.pipeline.run.calibration import calibrating
from gauntlet.pipeline.run.costs import keep
from gauntlet.pipeline.run.pass_times import FORWARD, Pass, Role, measured
from gauntlet.pipeline.run.plan import Plan
from gauntlet.pipeline.run.plan_models import configure, device, image_dtype
from gauntlet.pipeline.run.rehearsal import Rehearsed, passes, rehearsed, stand_in, uncounted

Machine = tuple[int | None, int | None, float | None]
"""Cores, GPUs, and GiB of each: of a machine that is not this one; None where nothing is said."""
UNKNOWN_SIZE = (224, 224)
"""Height and width of images none of which can be read."""


def plan_job(
    job: str,
    changes: Sequence[str],
    placement: str | None,
    machine: Machine,
    examples: int | None,
    given: Sequence[str],
    allowed: Sequence[str],
) -> int:
    """Print what a job's run would cost, and start nothing."""
    library = time.process_time()  # so far this process has loaded what all others load, too
    loaded = open_job(find_job(job), changed(changes, placement), allowed, WITHOUT_MODELS)
    plan = loaded.plan
    stated = _stated(given, plan)
    devices = _devices(machine)
    imagined = any(part is not None for part in machine)
    listed = open_examples(plan.data, plan.task.goal, root=plan.root, seed=plan.seed)
    count = examples or min(len(listed), plan.select.limit or len(listed))
    layout = layout_on(plan, devices, units_of(plan, count), imagined)
    decoding, size = _decoded(plan, listed)
    with _threads(plan, layout):
        times, notes = _times(loaded, stated, layout, devices, decoding, size, library)
    before = _shown_before(plan, listed)
    found = outlook(plan, layout, devices, count, size, times, before)
    foreign = uncounted(plan.attacks)
    if not (imagined or stated or examples or foreign):
        every = (*times.surrogates.values(), *times.targets.values())
        keep(plan, [mark for made in every if (mark := made.fingerprint)], found.cost)
    if plan.select.correct is not None and examples is None:
        notes.append("examples: all that may be selected; models that are wrong about some leave "
                     "fewer")  # fmt: skip
    if plan.evaluate.interactions is not None:
        notes.append("interactions are measured, too: their passes are not in the time")
    if layout is not None and layout.most_hubs > layout.hubs:
        notes.append(f"hubs: {layout.hubs} to begin with; the time is of {layout.most_hubs}, which "
                     "start where hubs are the limit")  # fmt: skip
    measures = plan.resources.placement == "auto" and layout is not None and not foreign
    if measures and found.misfits and devices.gpus:
        notes.append("planned as packed: a run measures whether the surrogates fit together, and "
                     "pins them where they do not; --placement pinned plans that")  # fmt: skip
    if foreign:
        notes.append(f"{', '.join(foreign)}: only the attack's library knows how often it asks the "
                     "surrogates: its passes are not in the time")  # fmt: skip
    print_outlook(plan, found, devices, count, size, times, notes, terminal())
    return Status.DONE


def _stated(given: Sequence[str], plan: Plan) -> dict[str, float]:
    """Return the seconds that are given, by name of a model."""
    names = list(dict.fromkeys(spec.name for spec in (*plan.surrogates, *plan.targets)))
    found: dict[str, float] = {}
    problems = Problems()
    for text in given:
        name, _, number = text.rpartition("=")
        if name not in names:
            what = suggest(name, names, "model") if name else f"expected MODEL=5, got {text!r}"
            problems.record(Problem("--ms", what))
            continue
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and value > 0):
            what = f"{name}: expected milliseconds above 0, got {number!r}"
            problems.record(Problem("--ms", what))
        found[name] = value / 1000
    problems.raise_if_any()
    return found


def _devices(machine: Machine) -> Devices:
    """Return this machine, with whatever is imagined in its place."""
    here = this_machine()
    cpus, gpus, gibibytes = machine
    own = here.gpu_memory if gibibytes is None else int(gibibytes * 2**30)
    count = here.gpus if gpus is None else gpus
    if gibibytes is not None and not count:
        raise BadInput(Problem("--gpu-memory", "there is no GPU: give --gpus, too"))
    return Devices(here.cpus if cpus is None else cpus, count, own or here.memory, gpu_memory=own)


def _shown_before(plan: Plan, listed: Examples) -> int:
    """Return how many images judges see before all attacks, of a gallery or of labelled pairs."""
    if plan.success is not None:
        if (gallery := plan.success.gallery) is None:
            return 0
        return len(open_gallery(gallery, listed, root=plan.root, seed=plan.seed))
    pairs = calibrating(plan, listed).listing.pairs
    return 0 if pairs is None else len(np.unique(np.concatenate([pairs.first, pairs.second])))


def _decoded(plan: Plan, listed: Examples) -> tuple[float, tuple[int, int]]:
    """Return the seconds that a batch of examples takes to be decoded, and the images' size."""
    shown = range(min(plan.resources.batch, len(listed)))
    started = time.perf_counter()
    batch = listed.load(shown).batch
    seconds = (time.perf_counter() - started) * plan.resources.batch / len(shown)
    if batch is None:
        return seconds, plan.data.image_size(plan.root) or UNKNOWN_SIZE
    return seconds, (int(batch.images.shape[2]), int(batch.images.shape[3]))


@contextmanager
def _threads(plan: Plan, layout: Layout | None) -> Iterator[None]:
    """Work with as many threads as a process of the run."""
    before, wanted = torch.get_num_threads(), plan.resources.threads
    of_one = None if wanted == "auto" else int(wanted)
    configure(plan.resources, of_one if layout is None else layout.threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _times(
    loaded: LoadedJob,
    stated: Mapping[str, float],
    layout: Layout | None,
    devices: Devices,
    decoding: float,
    size: tuple[int, int],
    library: float,
) -> tuple[BatchTimes, list[str]]:
    """Return what a batch takes, from what was given or else measured here; and what to doubt."""
    plan, notes = loaded.plan, list[str]()
    batch = stand_in(plan.task.goal, plan.resources.batch, size)
    problems: list[Problem] = []

    def a_pass(spec: ModelSpec, role: Role) -> Pass:
        if spec.name in stated:
            return Pass(stated[spec.name] * (1.0 if role == "surrogate" else FORWARD))
        try:
            return measured(spec, role, plan, batch, loaded.permission)
        except BadInput as error:
            why = f"built here ({'; '.join(str(problem) for problem in error.problems)})"
        except Exception as error:  # the model's own code runs, or the batch is too large
            first, *_ = str(error).strip().splitlines() or [""]
            why = f"measured here ({type(error).__name__}: {first})"
        what = f"cannot be {why}; give its time: --ms {spec.name}=MILLISECONDS"
        problems.append(Problem(f"model {spec.name!r}", what))
        return Pass(0.0)

    surrogates = {spec.name: a_pass(spec, "surrogate") for spec in plan.surrogates}
    targets = {spec.name: a_pass(spec, "target") for spec in plan.targets}
    if problems:
        raise BadInput(problems)
    everyone = {*surrogates, *targets}
    if everyone - stated.keys() and devices.gpus and device().type == "cpu":
        notes.append(
            "models without --ms were measured on this machine's CPU: on a GPU they are quicker"
        )
    names = tuple(surrogates)
    packed = layout is None or layout.placement == "packed"
    share = 0.0 if layout is None else layout.surrogate_gpus if packed else layout.hub_gpus
    on_gpu = bool(share) if layout is not None else devices.gpus > 0
    if on_gpu and device().type == "cpu":
        notes.append("the loop would run on a GPU, and there is none here: its time is left out")
        attacks = [Rehearsed(passes(attack, names, plan.task.goal)) for attack in plan.attacks]
    else:
        where = device() if on_gpu else torch.device("cpu")
        moved = batch.to(where, image_dtype(plan.resources))
        attacks = [rehearsed(attack, names, moved) for attack in plan.attacks]
    if layout is not None and devices.gpus and not layout.target_gpus:
        notes.append(
            "no GPU is left for targets, which run on cores: resources.target_gpus gives them a "
            "share"
        )
    return BatchTimes(surrogates, targets, attacks, decoding, library), notes
