"""What a run needs of the machinery that holds the models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from torch import Tensor

from pipeline.attacks.loop import Attacked
from pipeline.attacks.recipe import Attack
from pipeline.batch import Batch


@dataclass(frozen=True)
class ModelCard:
    """What a built model says of itself, for the manifest.

    Attributes:
        name: unique name.
        fingerprint: of weights, preprocessing and defence.
        weights: fingerprint of the weights alone.
        preprocessing: the adapter in words.
        randomised: whether two evaluations of one image differ.
        folded: whether batch norm was folded.
        device: where it runs.
    """

    name: str
    fingerprint: str
    weights: str
    preprocessing: str
    randomised: bool
    folded: bool
    device: str


@dataclass(frozen=True)
class Look:
    """Images to be shown to targets, with what keys the draws of a randomised target.

    Attributes:
        images: (B, 3, H, W) in [0, 1].
        ids: B example ids.
        attack: label of the attack; ``clean`` or ``reference`` for images that none made.
        seed: the run's seed.
        repeats: evaluations by each target, by name; 1 where absent.
    """

    images: Tensor
    ids: tuple[str, ...]
    attack: str
    seed: int
    repeats: Mapping[str, int] = field(default_factory=dict)


class Engine(Protocol):
    """Holds surrogates and targets, somewhere; safe to call from ``lanes`` threads at a time."""

    @property
    def lanes(self) -> int:
        """How many units of work should be in flight."""

    @property
    def description(self) -> str:
        """What was chosen, and why."""

    @property
    def cards(self) -> Mapping[str, ModelCard]:
        """The models by role and name: ``surrogate/NAME`` and ``target/NAME``."""

    def attack(self, attack: Attack, batch: Batch) -> Attacked:
        """Attack a batch; tensors of the result are on the CPU."""

    def outputs(self, models: Sequence[str], look: Look) -> dict[str, np.ndarray]:
        """Return the outputs of targets (or surrogates) by name, each (repeats, B, C), float32."""

    def close(self) -> None:
        """Release the models."""
