"""Resize and pad as one small matrix per example and axis."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from gauntlet.pipeline.draws import Draws

Interpolation = Literal["bilinear", "nearest"]


def resize_pad_matrix(
    side: int,
    canvas: int,
    size: Tensor,
    offset: Tensor,
    interpolation: Interpolation,
    dtype: torch.dtype,
    device: torch.device | str,
) -> Tensor:
    """Return matrices that resize an axis and place the result on a zero canvas.

    Row b maps ``side`` samples to ``size[b]`` samples that begin at ``offset[b]`` of an axis of
    length ``canvas``; the other rows of the matrix are zero. ``A_v @ x @ A_h.mT`` applies two of
    them to images; the gradient is the exact adjoint.

    Bilinear is ``F.interpolate(mode="bilinear", align_corners=False, antialias=False)``, its clamp
    at the edges included; nearest is ``F.interpolate(mode="nearest")`` of float32 images, whatever
    ``dtype``.

    Args:
        side: samples of the input.
        canvas: samples of the output.
        size: int64 (B,), each at least 1.
        offset: int64 (B,), each at least 0, with ``offset + size <= canvas``.
        interpolation: how samples between the input's are found.
        dtype: floating point type of the matrices; bilinear positions are computed in float64.
        device: where the matrices are made.

    Returns:
        (B, canvas, side).

    Raises:
        ValueError: when a resized axis does not fit the canvas, or the interpolation is unknown.
    """
    size, offset = size.to(device)[:, None], offset.to(device)[:, None]
    if bool(((size < 1) | (offset < 0) | (offset + size > canvas)).any()):
        raise ValueError(f"size and offset must describe a part of a canvas of {canvas} samples")
    position = torch.arange(canvas, device=device) - offset
    inside = (position >= 0) & (position < size)
    matrix = torch.zeros(*position.shape, side, dtype=dtype, device=device)
    if interpolation == "nearest":
        source = _nearest(position.clamp_min(0), size, side)
        return matrix.scatter_(2, source[..., None], inside[..., None].to(dtype))
    if interpolation != "bilinear":
        raise ValueError(f"interpolation must be 'bilinear' or 'nearest', got {interpolation!r}")
    point = ((position + 0.5).double() * (side / size.double()) - 0.5).clamp(0, side - 1)
    lower = point.floor()
    upper_share = (point - lower).to(dtype) * inside
    lower_share = (1 - (point - lower)).to(dtype) * inside
    first = lower.long()[..., None]
    matrix.scatter_(2, first, lower_share[..., None])
    # At the last sample both neighbours are the same one: add, do not overwrite.
    return matrix.scatter_add_(2, (first + 1).clamp_max(side - 1), upper_share[..., None])


def _nearest(position: Tensor, size: Tensor, side: int) -> Tensor:
    """Return the input index of each output sample."""
    # F.interpolate multiplies by a rounded scale; where the product should be whole, the rounding
    # decides between two neighbours. In float64 that depends on the shape, in float32 not.
    scale = torch.tensor(float(side), dtype=torch.float32, device=size.device) / size.float()
    index = (position.float() * scale).floor().long()
    index = torch.where(size == side, position, index)
    index = torch.where(size == 2 * side, position // 2, index)
    return index.clamp_max(side - 1)


def random_resize_pad_matrix(
    draws: Draws,
    purpose: str,
    axis: str,
    side: int,
    low: float,
    high: float,
    interpolation: Interpolation,
    dtype: torch.dtype,
    device: torch.device | str,
) -> Tensor:
    """Return each row's own random resize-and-pad along one axis, (B, canvas, side).

    The size is uniform over the whole numbers from ``low * side`` to the canvas, ``high * side``,
    both included, by one draw for both axes of an image; the offset is uniform over all places.

    Args:
        draws: one stream per row.
        purpose: what the draws are for.
        axis: names the axis whose offset is drawn.
        side: samples of the input.
        low: smallest size, as a share of ``side``.
        high: size of the canvas, as a share of ``side``.
        interpolation: as in `resize_pad_matrix`.
        dtype: floating point type of the matrices.
        device: where the matrices are made.
    """
    smallest, canvas = max(1, round(low * side)), round(high * side)
    share = draws.uniform(f"{purpose}/size", dtype=torch.float64)
    size = smallest + (share * (canvas - smallest + 1)).long()
    room = draws.uniform(f"{purpose}/offset-{axis}", dtype=torch.float64)
    offset = (room * (canvas - size + 1)).long()
    return resize_pad_matrix(side, canvas, size, offset, interpolation, dtype, device)
