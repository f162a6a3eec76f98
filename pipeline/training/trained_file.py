"""Files of trained surrogates: weights that a `file:` source loads, and where they come from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import nn

from gauntlet.pipeline.files import obstacle
from gauntlet.pipeline.models.model import Model
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.spec import Spec
from gauntlet.pipeline.training.fine_tuning import FineTuned
from gauntlet.pipeline.training.settings import FineTuning
from gauntlet.pipeline.training.tensor_file import write
from gauntlet.pipeline.training.unattacked import Unattacked


def provenance(
    model: Model, settings: Spec, training: Unattacked, held_out: Unattacked
) -> dict[str, Any]:
    """Return where weights come from: the original, the settings, the images.

    Args:
        model: the original.
        settings: of the training.
        training: images that it saw; a file lists the hashes of their contents.
        held_out: images that it was judged by.
    """
    return {
        "original": {
            "name": model.name,
            "source": model.spec.source if model.spec else None,
            "architecture": model.spec.architecture if model.spec else None,
            "weights": model.weights_fingerprint,
            "fingerprint": model.fingerprint,
        },
        "settings": settings.model_dump(),
        "training": training.about(),
        "held_out": held_out.about(),
    }


def write_fine_tuned(
    path: Path,
    tuned: FineTuned,
    model: Model,
    settings: FineTuning,
    method: str,
    judged: dict[str, Any],
) -> None:
    """Write a fine-tuned network with its provenance and what it was judged by.

    Args:
        path: the safetensors file.
        tuned: the network, its losses and its images.
        model: the original.
        settings: of the training.
        method: name of the way of training.
        judged: quantities to their values before and after; JSON values.

    Raises:
        BadInput: when the file cannot be written.
    """
    about = provenance(model, settings, tuned.training, tuned.held_out)
    about |= {"method": method, **judged, "losses": list(tuned.losses)}
    write_trained(path, tuned.network, about)


def write_trained(path: Path, network: nn.Module, about: dict[str, Any]) -> None:
    """Write a network's weights with what is known about them; never a half-written file.

    Args:
        path: the safetensors file.
        network: its state dict is written under its own names.
        about: metadata; values are written as JSON.

    Raises:
        BadInput: when the file cannot be written.
    """
    # Clones: tied weights share their memory, which the format does not allow.
    tensors = {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
    write(tensors, path, {name: json.dumps(value) for name, value in about.items()})


def about_trained(path: Path) -> dict[str, Any]:
    """Return what a file says about its weights, without reading them.

    Raises:
        BadInput: when it is no safetensors file with such metadata.
    """
    try:
        if what := obstacle(path):
            raise OSError(what)
        with safe_open(path, "pt") as file:
            return {name: json.loads(value) for name, value in (file.metadata() or {}).items()}
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        what = f"not a readable file of a trained surrogate: {error}"
        raise BadInput(Problem(str(path), what)) from None
