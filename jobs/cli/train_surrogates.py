"""What the verbs of `gauntlet surrogates` do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
import yaml

from gauntlet.jobs.cli.exit_status import Status
from gauntlet.jobs.cli.folders import find_job
from gauntlet.jobs.cli.trained_copy import trained_copy
from gauntlet.jobs.cli.training_images import open_everything
from gauntlet.jobs.reports.terminal import Terminal, terminal
from gauntlet.jobs.spec.draft import validate
from gauntlet.jobs.spec.loading import LoadedJob, open_job
from gauntlet.pipeline.batch import Task
from gauntlet.pipeline.data.examples import open_examples
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.models.model import Model
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.problems import BadInput, Problem, suggest
from gauntlet.pipeline.run.plan import Plan
from gauntlet.pipeline.run.plan_models import build_surrogate, configure
from gauntlet.pipeline.spec import Spec
from gauntlet.pipeline.training.align import align, write_aligned
from gauntlet.pipeline.training.harden import harden, write_hardened
from gauntlet.pipeline.training.ia_search import search, write
from gauntlet.pipeline.training.robustness import Accuracy
from gauntlet.pipeline.training.settings import (
    AlignSettings,
    FineTuning,
    HardenSettings,
    SearchSettings,
)
from gauntlet.pipeline.training.unattacked import Unattacked, apart, hashes_of

Settings = TypeVar("Settings", bound=Spec)


@dataclass(frozen=True)
class Wanted:
    """What all verbs are asked.

    Attributes:
        job: job file, or name of a bundled one.
        surrogate: name of one of its surrogates.
        out: file to write.
        changes: overrides such as ``data.limit=300``.
        images: a job whose `data` to use; by default all images of the job's own source.
        limit: most images to use, chosen by a hash of seed and id. Attacked images (the same
            pixels, whatever their name) are always left out.
        allow_imports: folders and packages that the jobs' models may run code from, too.
    """

    job: str
    surrogate: str
    out: Path
    changes: Sequence[str]
    images: str | None
    limit: int
    allow_imports: Sequence[str] = ()


def harden_surrogate(wanted: Wanted, given: Mapping[str, Any]) -> int:
    """Fine-tune a surrogate adversarially and write it.

    Returns:
        The exit status: incomplete when it is not more robust than the original at the
        training budget.

    Raises:
        BadInput: when the job, the surrogate, the images or a setting does not allow it.
    """
    settings = _settings(HardenSettings, given)
    console = _console()
    model, use, images = _begun(wanted, "hardened", settings, console)
    done = harden(model, images, settings, lambda epoch, mean: _epoch(console, epoch, mean))
    write_hardened(wanted.out, done, model, settings)
    at = f"{settings.norm} {255 * settings.epsilon:.4g}/255"
    _print_accuracy(console, done.before, done.after, at)
    _print_use(console, wanted.out, use.model_copy(update={"adversarial": True}))
    if not done.sound:
        console.print("robust accuracy did not rise above the original's: train longer or harder")
    return Status.DONE if done.sound else Status.INCOMPLETE


def align_surrogate(wanted: Wanted, given: Mapping[str, Any]) -> int:
    """Fine-tune a surrogate for IA's criterion and write it.

    Returns:
        The exit status: incomplete when the criterion did not rise, or too much clean
        accuracy was lost.

    Raises:
        BadInput: when the job, the surrogate, the images or a setting does not allow it.
    """
    settings = _settings(AlignSettings, given)
    console = _console()
    model, use, images = _begun(wanted, "aligned", settings, console)
    done = align(model, images, settings, lambda epoch, mean: _epoch(console, epoch, mean))
    write_aligned(wanted.out, done, model, settings)
    before, after = done.before, done.after
    at = f"linf {255 * settings.epsilon:.4g}/255"
    _print_accuracy(console, before.accuracy, after.accuracy, at)
    console.print(f"alignment: {before.alignment:.4g} -> {after.alignment:.4g}")
    _print_use(console, wanted.out, use)
    sound = done.sound(settings.drop)
    if not sound:
        console.print(
            f"the alignment did not rise, or more than {settings.drop:g} of clean accuracy was "
            "lost: change the weight, the rate or the epochs"
        )
    return Status.DONE if sound else Status.INCOMPLETE


def search_surrogate(wanted: Wanted, given: Mapping[str, Any]) -> int:
    """Search IA's settings for a surrogate and write them.

    Raises:
        BadInput: when the job, the surrogate, the images or a setting does not allow it.
    """
    settings = _settings(SearchSettings, given)
    console = _console()
    loaded, spec = _opened(wanted)
    _writable(wanted.out)
    model, _ = build_surrogate(spec, loaded.plan, loaded.permission)
    images = _images(loaded.plan, wanted)
    batch = images.batch(torch.arange(len(images))).to(model.mean.device, model.mean.dtype)
    assert batch.labels is not None
    console.print(f"{len(images)} images, {settings.trials} settings")
    try:
        found = search(model, batch.images, batch.labels, batch.ids, settings)
    except BadInput:
        raise
    except ValueError as error:
        raise BadInput(Problem(spec.name, str(error))) from None
    write(wanted.out, found, model, batch.images, settings)
    factors = ", ".join(f"{value:.3f}" for value in found.lambdas)
    console.print(f"beta {found.beta:.2f}, lambdas {factors}; {found.tried} kept the accuracy")
    console.print(f"alignment: {found.plain_criterion:.4g} -> {found.criterion:.4g}")
    console.print(f"clean accuracy: {found.plain_accuracy:.4f} -> {found.accuracy:.4f}")
    console.print(f"wrote {wanted.out}; an attack with ia reads it by:")
    console.print(f"  options: {{ia: {{search: {wanted.out.resolve()}}}}}")
    return Status.DONE


def _begun(
    wanted: Wanted, suffix: str, settings: FineTuning, console: Terminal
) -> tuple[Model, ModelSpec, Unattacked]:
    """Return the model to train, how a job will use it, and the images; say how many there are."""
    loaded, spec = _opened(wanted)
    _writable(wanted.out)
    model, use = trained_copy(loaded, spec, wanted.out, suffix)
    images = _images(loaded.plan, wanted)
    training, held_out = images.split(settings.validation, settings.seed)
    console.print(f"{len(training)} images to train on, {len(held_out)} to judge by")
    return model, use, images


def _opened(wanted: Wanted) -> tuple[LoadedJob, ModelSpec]:
    loaded = open_job(find_job(wanted.job), list(wanted.changes), wanted.allow_imports)
    plan = loaded.plan
    if plan.task.kind is not Task.CLASSIFICATION:
        what = "training needs labelled images; the job's task is verification"
        raise BadInput(Problem("task.kind", what))
    names = [spec.name for spec in plan.surrogates]
    if wanted.surrogate not in names:
        raise BadInput(Problem("--surrogate", suggest(wanted.surrogate, names, "surrogate")))
    threads = plan.resources.threads
    configure(plan.resources, None if threads == "auto" else threads)
    return loaded, plan.surrogates[names.index(wanted.surrogate)]


def _images(plan: Plan, wanted: Wanted) -> Unattacked:
    attacked = open_examples(plan.data, plan.task.goal, root=plan.root, seed=plan.seed)
    everything = open_everything(plan, wanted.images, wanted.allow_imports)
    images = apart(everything, hashes_of(attacked))
    order = Draws.keyed(plan.seed, images.ids, attack="surrogates").bits("limit").argsort()
    return images.rows(order[: wanted.limit])


def _settings(kind: type[Settings], given: Mapping[str, Any]) -> Settings:
    """Return the settings with those options that were given; every wrong one is named."""
    built = validate(kind, {name: value for name, value in given.items() if value is not None})
    if isinstance(built, kind):
        return built
    assert isinstance(built, list)
    raise BadInput(
        Problem("--" + str(complaint.where[0]).replace("_", "-"), complaint.what)
        for complaint in built
    )


def _writable(out: Path) -> None:
    if out.is_dir():
        raise BadInput(Problem("--out", f"{out} is a folder; expected the name of a file"))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(Problem("--out", f"{out.parent}: {error.strerror}")) from None


def _console() -> Terminal:
    return terminal(soft_wrap=True)


def _epoch(console: Terminal, epoch: int, mean: float) -> None:
    console.print(f"epoch {epoch}: mean loss {mean:.4f}")


def _print_accuracy(console: Terminal, before: Accuracy, after: Accuracy, at: str) -> None:
    console.print(f"clean accuracy: {before.clean:.4f} -> {after.clean:.4f}")
    console.print(f"robust accuracy at {at}: {before.robust:.4f} -> {after.robust:.4f}")


def _print_use(console: Terminal, out: Path, use: ModelSpec) -> None:
    fields = use.model_dump(mode="json", exclude_defaults=True)
    written = yaml.safe_dump(fields, default_flow_style=True, sort_keys=False, width=10_000)
    console.print(f"wrote {out}; as a model of a job:")
    console.print(f"  - {written.strip()}")
