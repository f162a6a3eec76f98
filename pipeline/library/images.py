"""Images as people have them: checked, and brought to what a run works with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from numbers import Integral

import torch
from torch import Tensor

from gauntlet.pipeline.batch import Batch, Goal
from gauntlet.pipeline.norms import per_row

_ROUNDING = 1e-6
"""How far from [0, 1] a pixel may lie: as rounding leaves it, no more."""
_FIELDS = {Goal.UNTARGETED: "labels", Goal.TARGETED: "wanted"}


def posed(
    images: Tensor,
    labels: Tensor,
    goal: Goal,
    ids: Sequence[str] | None,
    true_labels: Tensor | None = None,
) -> Batch:
    """Return the examples as a run has them, with pixels exactly in [0, 1].

    Args:
        images: (B, 3, H, W), floating point in [0, 1].
        labels: what the goal is about: true classes, wanted classes, or the references.
        goal: what the attacker wants.
        ids: a stable name for each example, a text or a whole number; its position by default.
        true_labels: a targeted attack's true classes, int64 (B,), if they are known.

    Raises:
        ValueError: when shapes do not fit, or pixels are outside [0, 1].
        TypeError: when an argument is of another type.
    """
    if not isinstance(images, Tensor):
        raise TypeError(no_tensor("images", "a tensor (B, 3, H, W)", images))
    if labels is not None and not isinstance(labels, Tensor):
        raise TypeError(no_tensor(_FIELDS.get(goal, "references"), "a tensor", labels))
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f"images must have shape (B, 3, H, W), got {tuple(images.shape)}")
    names = tuple(map(str, range(len(images)))) if ids is None else tuple(map(_id, ids))
    if len(names) != len(images):
        raise ValueError(f"ids has {len(names)} names for {len(images)} images")
    given = {_FIELDS.get(goal, "references"): usable(labels)}
    if true_labels is not None:
        if goal is not Goal.TARGETED:
            raise ValueError(f"goal {goal.value!r} has its true classes in `labels` already")
        given["labels"] = usable(true_labels)
        if len(given["labels"]) != len(names):
            found = len(given["labels"])
            raise ValueError(f"true_labels has {found} rows for {len(names)} examples")
    batch = Batch(names, usable(images), goal, **given)
    batch = replace(batch, images=pixels("images", batch.images))
    if batch.references is not None:
        references = pixels("references", batch.references)
        batch = replace(batch, references=references.to(batch.images))
    return batch


def no_tensor(name: str, expected: str, found: object) -> str:
    """Return what to say of an argument that should be a tensor, and how to make it one."""
    converted = f"torch.as_tensor({name})"
    if isinstance(found, list | tuple) and any(isinstance(entry, Tensor) for entry in found):
        converted = f"torch.stack({name})"
    return f"{name} must be {expected}, got {type(found).__name__}: {converted} makes one"


def _id(name: object) -> str:
    """Return the name of an example as a text."""
    if not isinstance(name, str | Integral):
        raise TypeError(f"ids must be texts or whole numbers, got {type(name).__name__}")
    return str(name)


def usable(values: Tensor) -> Tensor:
    """Return the values; as a copy if autograd refuses them (made in inference mode)."""
    return values.clone() if isinstance(values, Tensor) and values.is_inference() else values


def pixels(kind: str, images: Tensor) -> Tensor:
    """Return images in float32 or float64, and exactly in [0, 1].

    A half-precision image whose every pixel is an 8-bit level as its type rounds it is read as
    these levels: off their grid, half of the smallest steps would leave the ball.

    Raises:
        ValueError: when a value is outside [0, 1] by more than 1e-6, or not finite.
    """
    if images.is_meta:
        raise ValueError(f"{kind} are on the device `meta`, which holds no pixels")
    if images.numel():
        low, high = float(images.min()), float(images.max())
        if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):
            raise ValueError(_outside(kind, images, low, high))
    wide = images.detach().to(torch.promote_types(images.dtype, torch.float32)).clamp(0, 1)
    if wide.dtype is images.dtype:
        return wide
    levels = (wide.double() * 255).round().div(255).to(wide.dtype)
    return torch.where(per_row((levels.to(images) == images).flatten(1).all(1), wide), levels, wide)


def _outside(kind: str, images: Tensor, low: float, high: float) -> str:
    bad = ~images.isfinite().flatten(1).all(1)
    if bad.any():
        row = int(bad.nonzero()[0])
        return f"{kind}: {int(bad.sum())} of {len(images)} are not finite, the first in row {row}"
    what = f"{kind} must be in [0, 1], got [{low:.7g}, {high:.7g}]; "
    if low >= 0 and 2 < high <= 255:
        return f"{what}divide 0..255 by 255"
    return f"{what}put the normalisation into the model: gauntlet.adapt(net, mean=..., std=...)"
