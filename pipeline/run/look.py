"""What a target is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class Look:
    """Images to be shown to targets, with what keys the draws of a randomised target.

    Attributes:
        images: (B, 3, H, W) in [0, 1].
        ids: B example ids.
        attack: label of the attack; ``clean`` or ``reference`` for images that none made.
        seed: the run's seed.
        repeats: evaluations by each target, by name; 1 where absent.
        quantized: whether the images lie on the 8-bit grid, and may travel as bytes.
    """

    images: Tensor
    ids: tuple[str, ...]
    attack: str
    seed: int
    repeats: Mapping[str, int] = field(default_factory=dict)
    quantized: bool = False
