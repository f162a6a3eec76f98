"""Surrogates whose loss gradient is aligned with the data's distribution (specification 2.5, IA).

Where -log p(y|x) falls along a path towards denser data, its gradient follows the distribution that
all models of the task have learned. IA (Zhu 2022) measures this by the divergence of the gradient's
direction (IP Eq. 221); here the weights themselves climb that criterion, by
theta = argmin of the mean of CE(h(x), y) - w A(x) / a, A the alignment, a the mean of |A| before.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from gauntlet.pipeline.attacks.ball import Ball
from gauntlet.pipeline.attacks.surgery.activations import kinks
from gauntlet.pipeline.attacks.surgery.ia import IntrinsicAttack
from gauntlet.pipeline.batch import Batch
from gauntlet.pipeline.cross_entropy import cross_entropy
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.models.graph import residuals, trace
from gauntlet.pipeline.models.model import Model
from gauntlet.pipeline.norms import per_row
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.training.fine_tuning import Done, FineTuned, fine_tune, logits_of, trainable
from gauntlet.pipeline.training.ia_search import alignment
from gauntlet.pipeline.training.robustness import Accuracy, Logits, accuracy
from gauntlet.pipeline.training.settings import AlignSettings
from gauntlet.pipeline.training.trained_file import write_fine_tuned
from gauntlet.pipeline.training.unattacked import Unattacked

_ROWS = 64


@dataclass(frozen=True)
class Judged:
    """What a network is judged by, on held-out images.

    Attributes:
        accuracy: clean and robust, of the network itself.
        alignment: mean criterion of its smooth form.
    """

    accuracy: Accuracy
    alignment: float


@dataclass(frozen=True, kw_only=True)
class Aligned(FineTuned):
    """An aligned network, and what it was judged by.

    Attributes:
        before: the original on the held-out images.
        after: the aligned network on them.
    """

    before: Judged
    after: Judged

    def sound(self, drop: float) -> bool:
        """Whether the alignment rose, at a loss of at most ``drop`` of clean accuracy."""
        lost = self.before.accuracy.clean - self.after.accuracy.clean
        return self.after.alignment > self.before.alignment and lost <= drop


def climbable(logits: Logits, images: Tensor, labels: Tensor, probes: Tensor) -> Tensor:
    """Return `alignment` of each image, (R,), as a function of the weights that can be climbed.

    The divergence of g / |g|, g the gradient of the cross-entropy, is the trace of its Jacobian J,
    and the mean of z.J z: one product for each probe, where `alignment` needs one more. On average
    over the probes both are the same. An image whose gradient is zero has alignment zero.

    Args:
        logits: gives (R, C); differentiable three times.
        images: (R, ...).
        labels: classes, int64 (R,).
        probes: z, (K, R, ...).
    """
    points = images.detach().requires_grad_()
    loss = cross_entropy(logits(points), labels).sum()
    (gradient,) = torch.autograd.grad(loss, points, create_graph=True)
    if not gradient.requires_grad:  # a loss that is linear in the image
        return torch.zeros(len(points), dtype=points.dtype, device=points.device)
    squared = gradient.flatten(1).double().square().sum(1)
    live = squared > 0
    # A constant in dead rows: the root of zero has no derivative.
    length = torch.where(live, squared, 1.0).sqrt().to(points.dtype)
    direction = gradient / per_row(length, gradient)
    found = []
    for probe in probes:
        # z.J z; rows do not meet in the network.
        (product,) = torch.autograd.grad(
            direction, points, probe, create_graph=True, materialize_grads=True
        )
        found.append((product * probe).flatten(1).sum(1))
    return torch.where(live, torch.stack(found).mean(0), 0.0)


def align(
    model: Model,
    images: Unattacked,
    settings: AlignSettings | None = None,
    done: Done = lambda epoch, mean: None,
) -> Aligned:
    """Return a copy of a classifier, fine-tuned for alignment.

    Batch norm keeps its running statistics: rows must not meet, and so the criterion demands.

    Args:
        model: the original, in float32 and not folded; never changed.
        images: to train on and to judge by.
        settings: how.
        done: told of each epoch.

    Raises:
        BadInput: when the model or the images do not allow it, or the loss is no longer finite.
    """
    settings = settings or AlignSettings()
    network = trainable(model, images)
    smooth = _smooth(network, settings.beta, model.name)
    training, held_out = images.split(settings.validation, settings.seed)
    parameters = list(network.parameters())
    shared: dict[str, Tensor] = {
        name: network.get_parameter(name) for name, _ in smooth.named_parameters()
    }

    plain = logits_of(network, model)

    def softened(points: Tensor) -> Tensor:
        # Fused attention has no second derivative.
        with sdpa_kernel(SDPBackend.MATH):
            outputs: Tensor = functional_call(smooth, shared, (model.inputs(points),))
        return outputs

    def aligned(some: Unattacked, probes: int) -> Tensor:
        return _alignments(softened, some, probes, settings.seed, parameters[0])

    def judged() -> Judged:
        ball = Ball("linf", settings.epsilon)
        found = accuracy(plain, held_out, ball, settings.judge_steps, settings.seed, parameters[0])
        return Judged(found, float(aligned(held_out, settings.judge_probes).mean()))

    before = judged()
    scale = float(aligned(training, settings.probes).abs().mean()) or 1.0

    def loss(batch: Batch, draws: Draws) -> Tensor:
        assert batch.labels is not None
        # Of the network itself: its accuracy is what is to be kept.
        entropy = F.cross_entropy(plain(batch.images), batch.labels, reduction="none")
        probes = _probes(draws, settings.probes, batch.images)
        risen = climbable(softened, batch.images, batch.labels, probes)
        return entropy - settings.weight / scale * risen

    losses = fine_tune(parameters, training, settings, loss, model=model.name, done=done)
    return Aligned(
        network=network,
        before=before,
        after=judged(),
        losses=tuple(losses),
        training=training,
        held_out=held_out,
    )


def write_aligned(path: Path, aligned: Aligned, model: Model, settings: AlignSettings) -> None:
    """Write an aligned network with its provenance; a `file:` source loads it.

    Args:
        path: the safetensors file.
        aligned: what `align` gave.
        model: the original.
        settings: of the training.
    """
    before, after = aligned.before, aligned.after
    judged = {
        "accuracy": {"before": asdict(before.accuracy), "after": asdict(after.accuracy)},
        "alignment": {"before": before.alignment, "after": after.alignment},
    }
    write_fine_tuned(path, aligned, model, settings, "align", judged)


def _smooth(network: nn.Module, beta: float, name: str) -> nn.Module:
    """Return the network with its kinks rounded and no branch weakened."""
    try:
        graph = trace(network)
        found = residuals(graph)
        if not kinks(graph):
            return graph
        stages = found[-1].stage + 1 if found else 0
        return IntrinsicAttack(beta=beta, lambdas=(1.0,) * stages).rewrite(network)
    except ValueError as error:
        raise BadInput(Problem("--surrogate", f"{name!r}: {error}")) from None


def _probes(draws: Draws, count: int, images: Tensor) -> Tensor:
    """Return Rademacher vectors, (K, B, ...)."""
    bits = draws.integers("probes", 0, 2, (count, *images.shape[1:]), device=images.device)
    return (2 * bits - 1).to(images.dtype).transpose(0, 1)


def _alignments(logits: Logits, images: Unattacked, probes: int, seed: int, like: Tensor) -> Tensor:
    """Return the criterion of each image, (n,); the probes depend on seed and image alone."""
    found = []
    for rows in torch.split(torch.arange(len(images)), _ROWS):
        batch = images.batch(rows).to(like.device, like.dtype)
        assert batch.labels is not None
        draws = Draws.keyed(seed, batch.ids, attack="alignment")
        vectors = _probes(draws, probes, batch.images)
        found.append(alignment(logits, batch.images, batch.labels, vectors))
    return torch.cat(found)
