"""Searching IA's sharpness and branch factors for one surrogate (specification 2.5, IA)."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from gauntlet.pipeline.attacks.surgery.ia import IntrinsicAttack
from gauntlet.pipeline.cross_entropy import cross_entropy
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.models.frozen import frozen_copy
from gauntlet.pipeline.models.graph import residuals, trace
from gauntlet.pipeline.models.model import Model
from gauntlet.pipeline.norms import divide, l2
from gauntlet.pipeline.training.settings import SearchSettings


@dataclass(frozen=True)
class Best:
    """The best setting of a search.

    Attributes:
        beta: sharpness of the Softplus.
        lambdas: factor of the residual branches of each stage.
        criterion: mean over the images.
        accuracy: on the images, with this setting.
        plain_criterion: of the network as it is, whose kinks have no curvature.
        plain_accuracy: of the network as it is.
        tried: how many settings kept the accuracy.
    """

    beta: float
    lambdas: tuple[float, ...]
    criterion: float
    accuracy: float
    plain_criterion: float
    plain_accuracy: float
    tried: int


def alignment(
    logits: Callable[[Tensor], Tensor], images: Tensor, labels: Tensor, probes: Tensor
) -> Tensor:
    """Return -div(grad log p(y|x) / |grad log p(y|x)|) of each image, (R,) (Zhu 2022; IP Eq. 221).

    With g and H the gradient and the Hessian of the cross-entropy this is
    (tr(H) g.g - g.Hg) / |g|^3; the trace is estimated by the mean of z.Hz (Hutchinson).

    Args:
        logits: gives (R, C); twice differentiable.
        images: (R, ...).
        labels: classes, int64 (R,).
        probes: z, entries +-1 (or scaled unit vectors, for the exact trace), (K, R, ...).
    """
    points = images.detach().requires_grad_()
    loss = cross_entropy(logits(points), labels).sum()
    (gradient,) = torch.autograd.grad(loss, points, create_graph=True)
    fixed = gradient.detach()

    def curvature(vector: Tensor) -> Tensor:
        """Return v.Hv of each row; rows do not meet in the network."""
        if not gradient.requires_grad:  # a loss that is linear in the image
            return torch.zeros(len(points), dtype=points.dtype, device=points.device)
        (product,) = torch.autograd.grad(
            gradient, points, vector, retain_graph=True, materialize_grads=True
        )
        return (product * vector).flatten(1).sum(1)

    trace_of = torch.stack([curvature(probe) for probe in probes]).mean(0)
    length = l2(fixed)
    along = curvature(divide(fixed, length))
    safe = length.clamp_min(torch.finfo(length.dtype).tiny)
    return torch.where(length > 0, (trace_of - along) / safe, torch.zeros_like(length))


def search(
    model: Model,
    images: Tensor,
    labels: Tensor,
    ids: Sequence[str],
    settings: SearchSettings | None = None,
) -> Best:
    """Return the (beta, lambdas) of the greatest mean `alignment` that keep the clean accuracy.

    Args:
        model: the surrogate; never changed.
        images: (B, 3, H, W) in [0, 1], on the model's device and in its floating point type.
        labels: classes, int64 (B,).
        ids: names of the images, which key the probes.
        settings: how to search.

    Raises:
        ValueError: when the network cannot be rewritten, or no trial keeps the accuracy.
    """
    settings = settings or SearchSettings()
    found = residuals(trace(model.network))
    stages = found[-1].stage + 1 if found else 0
    draws = Draws.keyed(settings.seed, ids, model=model.name)
    plain_criterion, plain_accuracy = _judge(model, images, labels, draws, settings)
    best: Best | None = None
    tried = 0
    for trial in range(settings.trials):
        beta, lambdas = _proposal(trial, stages, best, settings)
        part = IntrinsicAttack(beta=beta, lambdas=lambdas)
        smooth = frozen_copy(model, replace={model.network: part.rewrite(model.network)})
        criterion, accuracy = _judge(smooth, images, labels, draws, settings)
        if accuracy < plain_accuracy - settings.drop or not math.isfinite(criterion):
            continue
        tried += 1
        if best is None or criterion > best.criterion:
            best = Best(beta, lambdas, criterion, accuracy, plain_criterion, plain_accuracy, tried)
    if best is None:
        raise ValueError(
            f"none of {settings.trials} settings keeps the accuracy {plain_accuracy:.3f} within "
            f"{settings.drop:g}: allow a greater `drop` or a greater `least_lambda`"
        )
    return Best(**{**vars(best), "tried": tried})


def write(path: Path, found: Best, model: Model, images: Tensor, settings: SearchSettings) -> None:
    """Store a result as JSON, with what it was found on; IA's field `search` reads it."""
    pixels = images.detach().cpu().float().contiguous().numpy().tobytes()
    provenance = {
        "model": model.name,
        "weights": model.weights_fingerprint,
        "images": len(images),
        "images_sha256": hashlib.sha256(pixels).hexdigest(),
        "settings": settings.model_dump(),
    }
    content = {**vars(found), "lambdas": list(found.lambdas), "provenance": provenance}
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _proposal(
    trial: int, stages: int, best: Best | None, settings: SearchSettings
) -> tuple[float, tuple[float, ...]]:
    """Return a setting: drawn evenly in every second trial, else near the best one."""
    draws = Draws.keyed(settings.seed, [f"trial-{trial}"])
    numbers = draws.uniform("ia/search", (1 + stages,), dtype=torch.float64)[0].tolist()
    low, high = math.log(settings.least_beta), math.log(settings.most_beta)
    if best is not None and trial % 2:
        # The neighbourhood shrinks to a tenth of the range.
        width = max(0.1, 1 - trial / settings.trials)
        at = [(math.log(best.beta) - low) / (high - low or 1.0)]
        span = 1 - settings.least_lambda
        at += [(value - settings.least_lambda) / (span or 1.0) for value in best.lambdas]
        pairs = zip(at, numbers, strict=True)
        numbers = [min(1.0, max(0.0, a + width * (number - 0.5))) for a, number in pairs]
    beta = math.exp(low + numbers[0] * (high - low))
    return beta, tuple(
        settings.least_lambda + number * (1 - settings.least_lambda) for number in numbers[1:]
    )


def _judge(
    model: Model, images: Tensor, labels: Tensor, draws: Draws, settings: SearchSettings
) -> tuple[float, float]:
    """Return the mean criterion and the accuracy."""
    criteria, right = [], 0
    for start in range(0, len(images), settings.rows):
        rows = torch.arange(start, min(start + settings.rows, len(images)))
        some, classes = images[start : start + len(rows)], labels[start : start + len(rows)]
        bits = draws.rows(rows).integers(
            "ia/probes", 0, 2, (settings.probes, *some.shape[1:]), device=some.device
        )
        probes = (2 * bits - 1).to(some.dtype).transpose(0, 1)
        with sdpa_kernel(SDPBackend.MATH):  # fused attention has no second derivative
            criteria.append(alignment(model, some, classes, probes))
        with torch.no_grad():
            right += int((model(some).argmax(1) == classes).sum())
    return float(torch.cat(criteria).mean()), right / len(images)
