"""What a model is shown, and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.models.model import Model
from gauntlet.pipeline.run.request import Request

ROWS = 256
"""Most images in one forward pass of a model that only judges."""


@dataclass(frozen=True)
class Showing(Request[np.ndarray]):
    """Images to be shown to models, with what keys the draws of a randomised one.

    Attributes:
        images: (B, 3, H, W) in [0, 1], or their 8-bit levels, uint8, which take a quarter of the
            way to another process.
        ids: B example ids.
        attack: label of the attack; ``clean`` or ``reference`` for images that none made.
        seed: the run's seed.
        repeats: evaluations by each model, by name; 1 where absent.
    """

    images: Tensor
    ids: tuple[str, ...]
    attack: str
    seed: int
    repeats: Mapping[str, int] = field(default_factory=dict)

    def of(self, model: Model) -> np.ndarray:
        """Return the model's outputs, (repeats, B, C), float32.

        A randomised model sees each image ``repeats`` times, with draws keyed by (seed, example,
        attack, model, repeat).
        """
        answers = []
        with torch.inference_mode():
            for repeat in range(self.repeats.get(model.name, 1)):
                parts = []
                for first in range(0, len(self.images), ROWS):
                    images = pixels(self.images[first : first + ROWS])
                    draws = Draws.keyed(
                        self.seed,
                        self.ids[first : first + ROWS],
                        attack=self.attack,
                        step=repeat,
                        model=f"target/{model.name}",
                    )
                    shown = images.to(model.device, model.dtype)
                    parts.append(model(shown, draws).float().cpu())
                answers.append(torch.cat(parts).numpy())
        return np.stack(answers)


def levels(images: Tensor) -> Tensor:
    """Return the 8-bit levels, uint8, of images in [0, 1] that lie on their grid."""
    return (images * 255).round().to(torch.uint8)


def pixels(images: Tensor) -> Tensor:
    """Return images in [0, 1]: levels as float32, the same to the last bit, others as they are."""
    return (images.double() / 255.0).float() if images.dtype == torch.uint8 else images
