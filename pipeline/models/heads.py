"""FD's heads: what they compute, and how they are kept (specification 2.6)."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from gauntlet.pipeline.files import obstacle
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.spec import Spec

TRAIN = "train them with: gauntlet heads train JOB"
LEAST_AUC = 0.9
"""A head that tells its class from others less well than this is refused."""
_LOADED = 128
_TENSORS = ("hidden_weights", "hidden_biases", "weights", "bias")


class HeadSettings(Spec):
    """How heads are made and trained."""

    pool: Literal[1, 8] = 8
    """Features are averaged to maps of at most pool x pool; 1 keeps the heads of many classes
    small."""
    hidden: int = Field(200, ge=1)
    """Width of the hidden layer."""
    steps: int = Field(500, ge=1)
    """Steps of Adam."""
    batch: int = Field(64, ge=2)
    """Images in a step, half of them of the head's class."""
    rate: float = Field(1e-3, gt=0)
    """Learning rate."""
    validation: float = Field(0.2, gt=0, lt=1)
    """Share of the images of each class that is only validated on."""
    seed: int = 0
    """Keys first weights, batches, and the choice of the validation images."""


@dataclass(frozen=True)
class Heads:
    """Which heads are meant: those of one layer, all trained alike.

    Attributes:
        folder: where they are, below a folder for model, layer and settings.
        layer: as it is configured; None for the default.
        training: how they are trained.
    """

    folder: Path
    layer: str | None
    training: HeadSettings


@dataclass(frozen=True)
class Head:
    """h(f) = w . relu(W pool(f) + b) + b' of one class: the logit of p(class | features).

    Attributes:
        hidden_weights: W, (hidden, P), P pooled features.
        hidden_biases: b, (hidden,).
        weights: w, (hidden,).
        bias: b', ().
        shape: of the layer's activation without the batch.
        pool: side of the pooled maps, at most.
        auc: area under the ROC curve on the validation images.
        trained_on: hashes of all images that training or validation saw, int64 (n,).
    """

    hidden_weights: Tensor
    hidden_biases: Tensor
    weights: Tensor
    bias: Tensor
    shape: tuple[int, ...]
    pool: int
    auc: float
    trained_on: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """Return the logit of each row, (R,), from flattened activations (R, F)."""
        pooled_rows = pooled(features.reshape(-1, *self.shape), self.pool)
        hidden = torch.relu(pooled_rows @ self.hidden_weights.T + self.hidden_biases)
        return hidden @ self.weights + self.bias


def pooled(activation: Tensor, pool: int) -> Tensor:
    """Return what a head sees of a layer, (R, P).

    Args:
        activation: maps (R, C, H, W) are averaged to at most pool x pool, sequences (R, T, C) over
            their tokens; vectors (R, C) stay as they are.
        pool: side.
    """
    if activation.ndim == 4:
        vertical, horizontal = (
            _averages(side, min(pool, side)).to(activation) for side in activation.shape[2:]
        )
        activation = vertical @ activation @ horizontal.T
    elif activation.ndim == 3:
        activation = activation.mean(1)
    return activation.flatten(1)


@lru_cache(maxsize=64)
def _averages(side: int, pool: int) -> Tensor:
    """Return the matrix of adaptive average pooling along one axis, (pool, side), float64.

    As a matrix product, since torch's own pooling adds up its gradient in random order on GPUs.
    """
    weights = torch.zeros(pool, side, dtype=torch.float64)
    for row in range(pool):
        first, end = row * side // pool, -(-(row + 1) * side // pool)
        weights[row, first:end] = 1.0 / (end - first)
    return weights


def image_hashes(images: Tensor) -> Tensor:
    """Return a hash of each image's 8-bit content, int64 (B,); ids may differ between data sets."""
    levels = (images.detach().cpu() * 255).round().to(torch.uint8).contiguous()
    digests = [hashlib.blake2b(image.numpy().tobytes(), digest_size=8) for image in levels]
    return torch.tensor(
        [int.from_bytes(digest.digest(), "little", signed=True) for digest in digests],
        dtype=torch.int64,
    )


def default_folder() -> Path:
    """Return where heads are kept: `GAUNTLET_CACHE`, or `gauntlet` in the user's cache."""
    if given := os.environ.get("GAUNTLET_CACHE"):
        return Path(given) / "heads"
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "gauntlet" / "heads"


def heads_key(fingerprint: str, layer: str | None, settings: HeadSettings) -> int:
    """Return what stands for the heads of a model, layer and settings: an int64.

    Args:
        fingerprint: the model's, of weights and preprocessing.
        layer: as it is configured; None for the default.
        settings: how they are trained.
    """
    text = json.dumps([fingerprint, layer, settings.model_dump()])
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def head_path(folder: Path, key: int, label: int) -> Path:
    """Return the file of one class's head."""
    return folder / f"{key % (1 << 64):016x}" / f"class-{label}.safetensors"


def write_head(path: Path, head: Head, about: dict[str, Any]) -> None:
    """Write a head with what it was made from; a half-written file is never seen."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: getattr(head, name).float().cpu().contiguous() for name in _TENSORS}
    metadata = {"shape": list(head.shape), "pool": head.pool, "auc": head.auc, **about}
    aside = path.with_suffix(f".{os.getpid()}")
    save_file(
        {**tensors, "trained_on": head.trained_on},
        aside,
        {name: json.dumps(value) for name, value in metadata.items()},
    )
    aside.replace(path)
    read_head.cache_clear()


def about_head(path: Path) -> dict[str, Any]:
    """Return what is written in a head's file about it, without reading its weights.

    Raises:
        BadInput: when it is not such a file.
    """
    try:
        if what := obstacle(path):
            raise OSError(what)
        with safe_open(path, "pt") as file:
            return {name: json.loads(value) for name, value in (file.metadata() or {}).items()}
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> BadInput:
    what = f"not a readable file of a head ({error}); delete it and train again"
    return BadInput(Problem(str(path), what))


@lru_cache(maxsize=_LOADED)
def read_head(path: Path, device: torch.device, dtype: torch.dtype) -> Head:
    """Return a head from its file; the last ones that were read are kept in memory.

    Raises:
        BadInput: as `about_head`.
    """
    about = about_head(path)
    try:
        tensors = load_file(path)
        return Head(
            **{name: tensors[name].to(device, dtype) for name in _TENSORS},
            shape=tuple(int(side) for side in about["shape"]),
            pool=int(about["pool"]),
            auc=float(about["auc"]),
            trained_on=tensors["trained_on"],
        )
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise _unreadable(path, error) from None


def identity(spec: ModelSpec) -> str:
    """Return what tells two models apart before they are built: the spec without its role."""
    return spec.model_dump_json(exclude={"name", "repeats", "group", "white_box", "threshold"})


def missing(
    folder: Path, spec: ModelSpec, layer: str | None, settings: HeadSettings, labels: Sequence[int]
) -> list[int]:
    """Return the classes without a head, without building the model.

    Whether the weights are still those that the heads were trained on shows when the attack starts.
    """
    wanted = {"spec": identity(spec), "layer": layer, "settings": settings.model_dump()}
    found: set[int] = set()
    for path in folder.glob("*/class-*.safetensors"):
        about = about_head(path)
        if all(about.get(name) == value for name, value in wanted.items()):
            found.add(about["label"])
    return sorted(set(labels) - found)
