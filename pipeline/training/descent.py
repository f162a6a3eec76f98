"""The one loop of every training: which optimiser, which rate, how long a gradient may be."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor, nn


def make_optimiser(
    kind: Literal["sgd", "adamw"],
    parameters: Sequence[Tensor],
    rate: float,
    weight_decay: float,
    *,
    nesterov: bool = False,
    fused: bool = False,
) -> torch.optim.Optimizer:
    """Return an optimiser that decays matrices, but neither biases nor the parameters of norms.

    Args:
        kind: SGD with momentum 0.9, or AdamW.
        parameters: what is trained.
        rate: learning rate, until `descend` sets another.
        weight_decay: of parameters with more than one dimension.
        nesterov: sgd: the momentum is Nesterov's.
        fused: adamw: one pass over all of a parameter; faster, and other in the last digits.
    """
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if kind == "sgd":
        return torch.optim.SGD(groups, rate, momentum=0.9, nesterov=nesterov)
    return torch.optim.AdamW(groups, rate, fused=fused)


class Diverged(ValueError):
    """A loss that is not finite, before the update that it would have spoiled.

    Attributes:
        update: its index.
        loss: NaN or infinite.
    """

    def __init__(self, update: int, loss: float) -> None:
        super().__init__(f"the loss of update {update} is {loss}")
        self.update, self.loss = update, loss


def train(
    optimiser: torch.optim.Optimizer,
    parameters: Sequence[Tensor],
    losses: Iterable[Tensor],
    rate: Callable[[int], float],
    *,
    clip: float | None = None,
    first: int = 0,
) -> Iterator[float]:
    """Do one update for each loss, in place, and yield its value once that is done.

    Args:
        optimiser: over the parameters.
        parameters: what is trained.
        losses: scalars; each is asked for when the update before it is done.
        rate: gives the learning rate of an update by its index.
        clip: see `descend`.
        first: index of the first update: more than 0 where a training goes on.

    Raises:
        Diverged: when a loss is not finite.
    """
    for update, loss in enumerate(losses, first):
        value = float(loss.detach())
        if not math.isfinite(value):
            raise Diverged(update, value)
        descend(optimiser, parameters, loss, rate(update), clip)
        yield value


def descend(
    optimiser: torch.optim.Optimizer,
    parameters: Sequence[Tensor],
    loss: Tensor,
    rate: float,
    clip: float | None = None,
) -> None:
    """Do one update, in place.

    Args:
        optimiser: over the parameters.
        parameters: what is trained. Those that the loss does not reach, such as heads that only the
            original's training used, stay as they are.
        loss: a scalar.
        rate: learning rate of this update.
        clip: greatest Euclidean norm of the gradient over all parameters; a longer one is
            shortened.
    """
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if gradient is not None and optimiser.defaults.get("fused"):
            # It walks through both side by side, whatever their strides.
            gradient = torch.empty_like(parameter, requires_grad=False).copy_(gradient)
        parameter.grad = gradient
    if clip is not None:
        nn.utils.clip_grad_norm_(parameters, clip)
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.step()
    for parameter in parameters:
        parameter.grad = None


def half_cosine(rate: float, angle: float) -> float:
    """Return the rate at an angle of 0 (all of it) to pi (nothing)."""
    return rate * 0.5 * (1 + math.cos(angle))
