"""Rendering: numbers of people and of photographs become pictures."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gauntlet.pipeline.data.rendered.dice import Dice
from gauntlet.pipeline.data.rendered.eyes import paint_brows, paint_eyes, paint_glasses
from gauntlet.pipeline.data.rendered.face import Face
from gauntlet.pipeline.data.rendered.hair import paint_back_hair, paint_beard, paint_hair
from gauntlet.pipeline.data.rendered.head import (
    outline,
    paint_body,
    paint_head,
    paint_marks,
    paint_mouth,
    paint_nose,
)
from gauntlet.pipeline.data.rendered.photograph import (
    expose,
    light,
    paint_background,
    paint_occluder,
    pose,
)
from gauntlet.pipeline.draws import Draws

TRAIN_IDENTITIES = 0
"""First of the million people reserved for training."""
TEST_IDENTITIES = 1_000_000
"""First of the people reserved for testing: disjoint from training by construction."""
SMALLEST = 16
_CHUNK = {"cpu": 2**17, "cuda": 2**24}
"""Pixels painted at a time: what stays in a processor's cache, or fills a GPU."""


def render(
    identities: Tensor | Sequence[int],
    shots: Tensor | Sequence[int],
    *,
    size: int = 48,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Return photographs of people, uint8 RGB (B, 3, size, size) in 0..255.

    A picture is a function of ``(seed, identity, shot, size)`` alone: neither the batch, nor its
    order, nor the device changes a byte.

    Args:
        identities: number of the person in each picture, >= 0; see `TRAIN_IDENTITIES` and
            `TEST_IDENTITIES`.
        shots: number of each picture among those of its person, >= 0.
        size: side of the pictures in pixels, >= 16.
        seed: seed of the whole population.
        device: where to paint; the pictures stay there.

    Raises:
        ValueError: on numbers that are negative or not whole, lists of two lengths, or a smaller
            size.
    """
    people, pictures = _numbers(identities, "identities"), _numbers(shots, "shots")
    if len(people) != len(pictures):
        raise ValueError(f"{len(people)} identities and {len(pictures)} shots, expected as many")
    if size < SMALLEST:
        raise ValueError(f"size is {size}, expected {SMALLEST} or more pixels")
    device = torch.device(device)
    chunk = max(1, _CHUNK.get(device.type, 2**17) // (size * size))
    painted = torch.empty(len(people), 3, size, size, dtype=torch.uint8, device=device)
    for start in range(0, len(people), chunk):
        rows = slice(start, start + chunk)
        names = [str(person) for person in people[rows]]
        both = [f"{name}/{shot}" for name, shot in zip(names, pictures[rows], strict=True)]
        who = Dice(Draws.keyed(seed, names, attack="rendered people"), device)
        now = Dice(Draws.keyed(seed, both, attack="rendered photographs"), device)
        face = pose(size, who, now)
        _paint(face)
        painted[rows] = expose(face.image, now)
    return painted


def _paint(face: Face) -> None:
    """Paint from the back to the front."""
    head = outline(face)
    paint_background(face)
    paint_back_hair(face, head)
    paint_body(face)
    paint_head(face, head)
    paint_nose(face)
    paint_marks(face)
    paint_beard(face, head)
    paint_mouth(face)
    paint_eyes(face)
    paint_brows(face)
    paint_hair(face, head)
    paint_glasses(face)
    paint_occluder(face)
    light(face)


def _numbers(given: Tensor | Sequence[int], what: str) -> list[int]:
    numbers = given.tolist() if isinstance(given, Tensor) else list(given)
    for number in numbers:
        if not isinstance(number, int) or number < 0:
            raise ValueError(f"{what} holds {number}, expected whole numbers >= 0")
    return numbers
