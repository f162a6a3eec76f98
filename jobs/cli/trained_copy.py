"""How a job uses a trained copy of one of its surrogates; tried before the training, not after."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import torch

from gauntlet.jobs.spec.loading import LoadedJob
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.models.build import build
from gauntlet.pipeline.models.model import Model
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.models.sources.source import find_source
from gauntlet.pipeline.models.sources.trained_source import ORIGINAL
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.run.plan_models import device
from gauntlet.pipeline.training.fine_tuning import refuse_untrainable
from gauntlet.pipeline.training.trained_file import write_trained

_TRAINED = "trained:"
_TOLERANCE = 1e-5


def trained_copy(
    loaded: LoadedJob, spec: ModelSpec, out: Path, suffix: str
) -> tuple[Model, ModelSpec]:
    """Return the model to train, and how a job will use its trained copy, which has been tried.

    Args:
        loaded: the job.
        spec: one of its surrogates.
        out: where the copy's weights will be.
        suffix: of the copy's name.

    Raises:
        BadInput: when the model cannot be trained, or a file of its weights could not be used.
    """
    made = partial(build, root=loaded.plan.root, device=device(), permission=loaded.permission)
    model = made(spec, task=loaded.plan.task.kind)
    refuse_untrainable(model)
    with tempfile.TemporaryDirectory() as folder:
        # The weights as they are: a file that nothing could load would show only hours later.
        trial = Path(folder) / "trial.safetensors"
        write_trained(trial, model.network, {})
        try:
            again = made(usage(spec, model, trial, suffix))
        except BadInput as error:
            what = f"a file of {spec.source}'s weights could not be used: {error}"
            raise BadInput(Problem("--surrogate", what)) from None
    size = model.input_size or (64, 64)
    images = Draws.keyed(0, ["a", "b"]).uniform("trial", (3, *size)).to(model.mean.device)
    if not _same(model, again, images):
        what = (
            f"{spec.source} made anew with the same weights answers otherwise: give the options "
            "that its pretrained form has by itself"
        )
        raise BadInput(Problem("--surrogate", what))
    return model, usage(spec, model, out, suffix)


def usage(spec: ModelSpec, model: Model, out: Path, suffix: str) -> ModelSpec:
    """Return how a job uses a trained copy of a model.

    A source that reads a file keeps all but the file. Every other network is made by its own
    source, and the file's weights are put into it; its input convention is then the job's to say.

    Args:
        spec: the original.
        model: built from it.
        out: the file.
        suffix: of the new name.

    Raises:
        BadInput: when the original's own options stand in the way.
    """
    name = f"{spec.name}-{suffix}"
    path = str(out.resolve())
    source, rest, now = find_source(spec)
    if source.weights_file(rest, Path()) is not None:  # another file of the same kind
        return now.model_copy(update={"name": name, "source": f"{source.scheme}{path}"})
    if ORIGINAL in spec.options:
        what = f"{spec.name!r} has the option {ORIGINAL!r}, which its trained copy needs: rename"
        raise BadInput(Problem("--surrogate", f"{what} it in your factory"))
    wants = model.preprocessing
    return ModelSpec(
        name=name,
        source=f"{_TRAINED}{path}",
        options={**spec.options, ORIGINAL: spec.source},
        task=model.task,
        input_size=wants.input_size,
        mean=wants.mean,
        std=wants.std,
        channels=wants.channels,
        resize=wants.resize,
    )


def _same(model: Model, again: Model, images: torch.Tensor) -> bool:
    with torch.no_grad():
        expected, found = model(images), again(images)
    return torch.allclose(expected, found, rtol=_TOLERANCE, atol=_TOLERANCE)
