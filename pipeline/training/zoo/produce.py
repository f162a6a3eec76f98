"""From a recipe to a file of weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from torch import nn

from gauntlet.pipeline.models.zoo import weights
from gauntlet.pipeline.models.zoo.recipes import Recipe, find_recipe
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.progress import Progress
from gauntlet.pipeline.training.zoo import evaluate, shipping
from gauntlet.pipeline.training.zoo.pool import TEST, Pool, Render, open_pool, rendered
from gauntlet.pipeline.training.zoo.state import Training, restore
from gauntlet.pipeline.training.zoo.train import begin, train

_SMOKE_STEPS, _SMOKE_EDGE = 40, 8
"""Updates of a smoke training, and how many at either end are compared."""
_SMOKE_FALL = 0.9
"""Largest share of the first loss that may be left: batches alone make it vary by a few percent."""


def produce(
    recipes: Sequence[Recipe],
    out: Path,
    cache: Path,
    progress: Progress,
    *,
    resume: bool = True,
    stopped: Callable[[], bool] = lambda: False,
    render: Render = rendered,
) -> None:
    """Train networks one after the other and write each, with what it was found to be worth.

    Args:
        recipes: what to train; a twin before the network that starts from it.
        out: folder of the finished weights and their checksums.
        cache: folder of the rendered faces and of the checkpoints of unfinished trainings.
        progress: told of rendering, training and what was found.
        resume: keep finished networks, and go on with unfinished ones; otherwise start anew.
        stopped: asked after every update whether to stop.
        render: the renderer.

    Raises:
        BadInput: when a folder cannot be written, a twin is missing, or a checkpoint does not fit.
        Interrupted: when stopped.
    """
    _writable(out)
    for recipe in recipes:
        if resume and _finished(recipe, out):
            progress.note(f"{recipe.name}: finished before; --no-resume trains it anew")
            continue
        pool = open_pool(
            cache,
            first=0,
            identities=recipe.identities,
            shots=recipe.shots,
            progress=progress,
            render=render,
            stopped=stopped,
        )
        training = begin(recipe, pool, _twin(recipe, out))
        checkpoint = cache / "checkpoints" / f"{recipe.name}.safetensors"
        if resume and restore(training, checkpoint):
            progress.note(f"{recipe.name}: goes on after update {training.step:,}")
        train(training, pool, checkpoint, progress, stopped=stopped)
        test = open_pool(
            cache,
            first=TEST,
            identities=evaluate.IDENTITIES,
            shots=evaluate.SHOTS,
            progress=progress,
            render=render,
            stopped=stopped,
        )
        progress.note(str(finish(training, test, out)))
        checkpoint.unlink(missing_ok=True)


def finish(
    training: Training,
    test: Pool,
    out: Path,
    *,
    folds: int = evaluate.FOLDS,
    same: int = evaluate.SAME,
    attacked: int = evaluate.ATTACKED,
) -> str:
    """Write a trained network and its checksum; return one line about it.

    What is evaluated is what is stored: the weights after rounding to half precision.

    Args:
        training: done.
        test: faces that it was not trained on.
        out: where to.
        folds: as `evaluate.evaluate` takes it.
        same: likewise.
        attacked: likewise.
    """
    recipe = training.recipe
    path = weights.path_of(recipe.name, out)
    with TemporaryDirectory() as folder:
        rounded = Path(folder) / path.name
        shipping.store(training.network, rounded, {})
        network = weights.read(recipe, rounded)
    report = evaluate.evaluate(network, test, folds=folds, same=same, attacked=attacked)
    about = {name: value if isinstance(value, str) else repr(value)
             for name, value in asdict(report).items()}  # fmt: skip
    about |= {"recipe": recipe.model_dump_json(), "seconds": f"{training.seconds:.0f}"}
    shipping.store(training.network, path, about)
    shipping.record(recipe.name, out)
    return (
        f"{recipe.name}: accuracy {100 * report.accuracy:.2f} ± {100 * report.standard_error:.2f} %"
        f", threshold {report.threshold:.3f}, clean {100 * report.clean_rate:.1f} %, "
        f"PGD-20 {100 * report.white_box:.1f} %, trained for {training.seconds:.0f} s; {path}"
    )


def smoke(recipe: Recipe, progress: Progress, *, render: Render = rendered) -> tuple[float, float]:
    """Train a recipe for a few updates on a few faces, from random weights.

    Storing, checksum, loading and evaluation are gone through, in a folder that is removed.

    Returns:
        Mean loss of the first eight updates and of the last eight.

    Raises:
        BadInput: when the loss fell by less than a tenth.
    """
    small = recipe.model_copy(
        update={
            "identities": 16,
            "shots": 4,
            "batch": 16,
            "images": 16 * _SMOKE_STEPS,
            "ramp": 0.0,
        }
    )
    with TemporaryDirectory() as name:
        folder = Path(name)
        pool, test = (
            open_pool(folder, first=first, identities=16, shots=4, progress=progress, render=render)
            for first in (0, TEST)
        )
        training = begin(small, pool, None)
        losses = train(training, pool, folder / "checkpoint.safetensors", progress)
        finish(training, test, folder, folds=2, same=8, attacked=4)
        weights.load(recipe.name, folder)
        # The maps of the files must be gone before their folder is.
        del pool, test
    before, after = (
        sum(part) / _SMOKE_EDGE for part in (losses[:_SMOKE_EDGE], losses[-_SMOKE_EDGE:])
    )
    if not after < _SMOKE_FALL * before:
        what = f"the loss only went from {before:.3f} to {after:.3f} in {_SMOKE_STEPS} updates"
        raise BadInput(Problem(recipe.name, what))
    return before, after


def _writable(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=out):
            pass
    except OSError as error:
        what = f"finished weights cannot be written here: {error.strerror}; name another --out"
        raise BadInput(Problem(str(out), what)) from None


def _finished(recipe: Recipe, out: Path) -> bool:
    if weights.problem_with(recipe.name, out) is not None:
        return False
    return weights.metadata(recipe.name, out).get("recipe") == recipe.model_dump_json()


def _twin(recipe: Recipe, out: Path) -> nn.Module | None:
    """Return the twin trained into the same folder, or the bundled one."""
    if recipe.twin is None:
        return None
    here = weights.path_of(recipe.twin, out).is_file()
    return weights.load(find_recipe(recipe.twin).name, out if here else weights.WEIGHTS)
