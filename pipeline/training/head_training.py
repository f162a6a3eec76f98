"""Training FD's heads on the frozen features of a surrogate (specification 2.6)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from scipy.stats import rankdata
from torch import Tensor

from gauntlet.pipeline.attacks.surgery.operated import Operated
from gauntlet.pipeline.data.examples import Examples
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.models.graph import default_layer, layers
from gauntlet.pipeline.models.heads import (
    Head,
    HeadSettings,
    head_path,
    heads_key,
    identity,
    image_hashes,
    pooled,
    write_head,
)
from gauntlet.pipeline.models.model import Model
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.training.descent import Diverged, train

_CHUNK = 64
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Seen:
    """What a surrogate's layer makes of n labelled images.

    Attributes:
        features: pooled, float32 (n, P).
        labels: classes, int64 (n,).
        ids: the images' names.
        hashes: of the images' content, int64 (n,).
        shape: of the layer's activation, without the batch.
    """

    features: Tensor
    labels: Tensor
    ids: tuple[str, ...]
    hashes: Tensor
    shape: tuple[int, ...]


def train_heads(
    model: Model,
    layer: str | None,
    settings: HeadSettings,
    examples: Examples,
    attacked: Tensor,
    labels: Sequence[int],
    folder: Path,
    done: Callable[[int, float], None] = lambda label, auc: None,
) -> dict[int, Path]:
    """Train the heads of some classes and write them.

    Args:
        model: the surrogate, built from a spec.
        layer: which activation; the family's default when None.
        settings: how to train.
        examples: labelled images.
        attacked: hashes of the images that will be attacked: they are left out, int64 (n,).
        labels: classes to train heads for.
        folder: where the heads go, below a folder for model, layer and settings.
        done: called with each class and its head's AUC.

    Returns:
        The file of each class's head.

    Raises:
        BadInput: when the examples cannot train a head of some class.
        ValueError: when the model has no such layer.
    """
    assert model.spec is not None
    seen = look(model, layer, settings.pool, examples, attacked)
    _check(seen, labels)
    key = heads_key(model.fingerprint, layer, settings)
    about = {
        "spec": identity(model.spec),
        "fingerprint": model.fingerprint,
        "layer": layer,
        "settings": settings.model_dump(),
        "images": len(seen.ids),
    }
    paths = {}
    for label in labels:
        head = train_head(seen, label, settings, model.device)
        paths[label] = head_path(folder, key, label)
        write_head(paths[label], head, {**about, "label": label})
        done(label, head.auc)
    return paths


def look(model: Model, layer: str | None, pool: int, examples: Examples, attacked: Tensor) -> Seen:
    """Return the pooled features of all examples but the attacked and the undecodable ones."""
    layer = layer or default_layer(model.network)
    operated = Operated(model)
    features, labels, hashes = [], [], []
    ids: list[str] = []
    shape: tuple[int, ...] = ()
    for first in range(0, len(examples), _CHUNK):
        batch = examples.load(range(first, min(first + _CHUNK, len(examples)))).batch
        if batch is None:
            continue
        own = image_hashes(batch.images)
        apart = (~torch.isin(own, attacked)).nonzero()[:, 0]
        if not len(apart):
            continue
        batch = batch.rows(apart)
        assert batch.labels is not None
        images = batch.images.to(model.device, model.dtype)
        draws = Draws.keyed(0, batch.ids, attack="heads", model=model.name)
        with torch.no_grad():
            flat = operated.features(images, layer, draws)
            if not shape:
                known = layers(
                    model.network, model.inputs(images[:1], draws.rows(torch.tensor([0])))
                )
                shape = next(info.shape for info in known if info.name == layer and info.shape)
            features.append(pooled(flat.reshape(-1, *shape), pool).float().cpu())
        labels.append(batch.labels)
        hashes.append(own[apart])
        ids += batch.ids
    if not features:
        what = "every image is attacked, and none is left to train heads on: attack fewer"
        raise BadInput(Problem("data", f"{what} (`data.limit`), or train on other images"))
    return Seen(torch.cat(features), torch.cat(labels), tuple(ids), torch.cat(hashes), shape)


def train_head(seen: Seen, label: int, settings: HeadSettings, device: torch.device = _CPU) -> Head:
    """Train one head: one class against all others, in class-balanced batches.

    Features are standardised while it learns; mean and scale are then folded into its first layer.

    Args:
        seen: features of training and validation images.
        label: the head's class; it and the others have at least two images each.
        settings: how to train.
        device: where the head learns; it is returned on the CPU.

    Raises:
        BadInput: when the loss is not finite.
    """
    draws = Draws.keyed(settings.seed, [f"class {label}"], attack="heads")
    held_out = _held_out(seen, label, settings)
    positive = seen.labels == label
    mean = seen.features[~held_out].mean(0)
    scale = seen.features[~held_out].std(0)
    # What never varied here must not be blown up when an attack makes it vary.
    scale = torch.maximum(scale, 0.1 * scale.mean()).clamp_min(1e-12)
    size, width = seen.features.shape[1], settings.hidden
    parameters = [
        draws.normal("hidden weights", (width, size))[0] * (2 / size) ** 0.5,
        torch.zeros(width),
        draws.normal("weights", (width,))[0] * (1 / width) ** 0.5,
        torch.zeros(()),
    ]
    parameters = [parameter.to(device).requires_grad_() for parameter in parameters]
    optimiser = torch.optim.Adam(parameters, lr=settings.rate)
    kinds = [(positive & ~held_out).nonzero()[:, 0], (~positive & ~held_out).nonzero()[:, 0]]
    half = settings.batch // 2
    wanted = torch.cat([torch.ones(half), torch.zeros(half)]).to(device)

    def logits(rows: Tensor) -> Tensor:
        first, bias, weights, last = parameters
        inputs = ((seen.features[rows] - mean) / scale).to(device)
        found: Tensor = torch.relu(inputs @ first.T + bias) @ weights + last
        return found

    def loss(step: int) -> Tensor:
        rows = torch.cat(
            [
                kind[draws.integers(f"{name}/{step}", 0, len(kind), (half,))[0]]
                for name, kind in zip(("positive", "negative"), kinds, strict=True)
            ]
        )
        with torch.enable_grad():
            value: Tensor = F.binary_cross_entropy_with_logits(logits(rows), wanted)
        return value

    losses = map(loss, range(settings.steps))
    try:
        deque(train(optimiser, parameters, losses, lambda _: settings.rate), maxlen=0)
    except Diverged as error:
        raise BadInput(Problem(f"the head of class {label}", str(error))) from None
    with torch.no_grad():
        scores = logits(held_out.nonzero()[:, 0]).cpu()
        first, bias, weights, last = (parameter.detach().cpu() for parameter in parameters)
        first = first / scale
    return Head(
        hidden_weights=first,
        hidden_biases=bias - first @ mean,
        weights=weights,
        bias=last,
        shape=seen.shape,
        pool=settings.pool,
        auc=auc(scores, positive[held_out]),
        trained_on=seen.hashes.sort().values,
    )


def auc(scores: Tensor, positive: Tensor) -> float:
    """Return the area under the ROC curve: P(score of a positive > of a negative), ties half.

    Args:
        scores: (n,).
        positive: bool (n,), with both kinds.
    """
    ranks = torch.from_numpy(rankdata(scores.numpy()))
    ones = int(positive.sum())
    zeros = len(positive) - ones
    return float((ranks[positive].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def _held_out(seen: Seen, label: int, settings: HeadSettings) -> Tensor:
    """Return which images are only validated on: a share of the class and one of all others."""
    order = Draws.keyed(settings.seed, seen.ids, attack="heads").uniform("validation")
    held_out = torch.zeros(len(order), dtype=torch.bool)
    for kind in (seen.labels == label, seen.labels != label):
        rows = kind.nonzero()[:, 0]
        count = min(len(rows) - 1, max(1, round(settings.validation * len(rows))))
        held_out[rows[order[rows].argsort()[:count]]] = True
    return held_out


def _check(seen: Seen, labels: Sequence[int]) -> None:
    found = []
    for label in labels:
        count = int((seen.labels == label).sum())
        for number, kind in ((count, "of"), (len(seen.ids) - count, "outside")):
            if number < 2:
                what = f"a head needs two images or more {kind} class {label}, there are {number}"
                found.append(Problem("data", what))
    if found:
        raise BadInput(found)
