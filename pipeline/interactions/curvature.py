"""delta^T H delta of the cross-entropy in closed form (interaction paper, Lemma 2, Corollary 2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from gauntlet.pipeline.interactions.cells import Grid


def curvature(
    model: Callable[[Tensor], Tensor],
    images: Tensor,
    delta: Tensor,
    *,
    rows_per_pass: int = 64,
) -> Tensor:
    """Return delta^T H delta of each example, float64 (B,) on the CPU; never negative.

    With H = J^T (diag p - p p^T) J (J the Jacobian of the logits, p their softmax), this is the
    variance under p of the logits' directional derivative J delta: one derivative in forward mode.
    H is the Hessian of the cross-entropy where the network is piecewise linear, whatever the label;
    for smooth activations it is the Gauss-Newton part of it.

    A network without forward-mode rules is differentiated backwards twice instead, with the same
    result.

    Args:
        model: differentiable; gives logits (R, C) for images (R, 3, H, W).
        images: where H is taken, (B, 3, H, W).
        delta: the direction, (B, 3, H, W).
        rows_per_pass: most images in one call of the model.

    Raises:
        ValueError: when images and delta differ in shape.
        RuntimeError: when the model cannot be differentiated.
    """
    if images.shape != delta.shape:
        raise ValueError(
            f"delta must have the shape of the images, {tuple(images.shape)}, "
            f"got {tuple(delta.shape)}"
        )
    pieces = [torch.zeros(0, dtype=torch.float64)]
    for points, moves in zip(
        torch.split(images, rows_per_pass), torch.split(delta, rows_per_pass), strict=True
    ):
        # Fused attention has neither a forward-mode rule nor a second derivative.
        with sdpa_kernel(SDPBackend.MATH):
            logits, slopes = _forward_derivative(model, points, moves)
        pieces.append(_variance(logits.double().softmax(1), slopes.double()).cpu())
    return torch.cat(pieces)


def self_terms(
    model: Callable[[Tensor], Tensor],
    images: Tensor,
    delta: Tensor,
    grid: Grid,
    *,
    rows_per_pass: int = 64,
) -> Tensor:
    """Return sum_a delta_a^T H delta_a over the cells of a grid, float64 (B,) on the CPU.

    ``curvature`` contains these within-cell blocks and Eq. 12 does not: for a quadratic loss the
    sum of I_ab over ordered pairs a != b is their difference (spec. 3.2). Costs n directional
    derivatives per example. Pixels that belong to no cell have no self term.

    Args:
        model: differentiable; gives logits (R, C) for images (R, 3, H, W).
        images: where H is taken, (B, 3, H, W).
        delta: the perturbation, (B, 3, H, W).
        grid: its units.
        rows_per_pass: most images in one call of the model.

    Raises:
        ValueError: for shapes that do not fit or a grid finer than the image.
        RuntimeError: when the model cannot be differentiated.
    """
    cells, (height, width) = grid.cells, images.shape[2:]
    pieces = [torch.zeros(0, dtype=torch.float64)]
    for index in torch.split(torch.arange(len(images) * cells), rows_per_pass):
        if not len(index):
            break
        alone = torch.nn.functional.one_hot(index % cells, cells).bool()
        inside = grid.masks(alone, height, width, delta.dtype, delta.device)
        rows = (index // cells).to(images.device)
        pieces.append(
            curvature(model, images[rows], delta[rows] * inside, rows_per_pass=rows_per_pass)
        )
    return torch.cat(pieces).reshape(len(images), cells).sum(1)


def _variance(weights: Tensor, values: Tensor) -> Tensor:
    """Return the variance of each row's values under its weights, (B,)."""
    centred = values - (weights * values).sum(1, keepdim=True)
    return (weights * centred.square()).sum(1)


def _forward_derivative(
    model: Callable[[Tensor], Tensor], images: Tensor, delta: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the logits and their derivative along delta, (B, C) each."""
    try:
        with torch.no_grad():
            # strict: a model that detaches its input is an error, not a curvature of zero.
            found = torch.func.jvp(model, (images,), (delta,), strict=True)
    except torch.OutOfMemoryError:
        raise
    except (NotImplementedError, RuntimeError):
        return _backward_twice(model, images, delta)
    return cast("tuple[Tensor, Tensor]", found)


def _backward_twice(
    model: Callable[[Tensor], Tensor], images: Tensor, delta: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the same by reverse mode: J delta is the derivative towards u of (J^T u) . delta."""
    with torch.enable_grad():
        points = images.detach().requires_grad_()
        logits = model(points)
        probe = torch.zeros_like(logits, requires_grad=True)
        (back,) = torch.autograd.grad(logits, points, probe, create_graph=True)
        (slopes,) = torch.autograd.grad(back, probe, delta)
    return logits.detach(), slopes
