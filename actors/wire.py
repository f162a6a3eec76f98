"""Batches and results as NumPy arrays, which Ray's object store passes on without a copy."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from gauntlet.pipeline.attacks.ask import Lost
from gauntlet.pipeline.attacks.loop import Trace
from gauntlet.pipeline.batch import Batch, Goal
from gauntlet.pipeline.run.engine import Observed
from gauntlet.pipeline.run.look import Look
from gauntlet.pipeline.run.steps import StepAnswers

# Arrays from the object store are read-only, and nothing here writes to its inputs.
warnings.filterwarnings("ignore", message="The given NumPy array is not writable")


def array(tensor: Tensor) -> np.ndarray:
    """Return a CPU array of a tensor."""
    return tensor.detach().cpu().contiguous().numpy()


def tensor(values: np.ndarray, device: torch.device | str = "cpu") -> Tensor:
    """Return a tensor on the array's memory, or on a device."""
    return torch.from_numpy(values).to(device)


@dataclass(frozen=True)
class WireBatch:
    """A `Batch` of arrays."""

    ids: tuple[str, ...]
    goal: Goal
    arrays: Mapping[str, np.ndarray]

    @classmethod
    def pack(cls, batch: Batch) -> WireBatch:
        """Turn a batch's tensors into arrays."""
        fields = ("images", "labels", "wanted", "references", "guide")
        present = {name: getattr(batch, name) for name in fields}
        arrays = {name: array(value) for name, value in present.items() if value is not None}
        return cls(batch.ids, batch.goal, arrays)

    def unpack(self) -> Batch:
        """Turn the arrays back into a batch."""
        return Batch(
            ids=self.ids,
            goal=self.goal,
            **{name: tensor(value) for name, value in self.arrays.items()},
        )


@dataclass(frozen=True)
class WireLook:
    """A `Look` of arrays; images on the 8-bit grid are bytes."""

    images: np.ndarray
    ids: tuple[str, ...]
    attack: str
    seed: int
    repeats: Mapping[str, int]
    quantized: bool

    @classmethod
    def pack(cls, look: Look) -> WireLook:
        """Turn the images into an array."""
        images = array(levels(look.images) if look.quantized else look.images)
        return cls(images, look.ids, look.attack, look.seed, dict(look.repeats), look.quantized)

    def unpack(self) -> Look:
        """Turn the array back into images, the same to the last bit in float32."""
        images = tensor(self.images)
        if self.quantized:
            images = (images.double() / 255.0).float()
        return Look(images, self.ids, self.attack, self.seed, self.repeats, self.quantized)


def levels(images: Tensor) -> Tensor:
    """Return the 8-bit levels, uint8, of images that lie on their grid."""
    return (images * 255).round().to(torch.uint8)


@dataclass(frozen=True)
class WireObserved:
    """An `Observed` of arrays."""

    images: np.ndarray
    trace: tuple[np.ndarray, ...]
    lost: Mapping[int, Lost]
    steps: tuple[StepAnswers, ...]

    @classmethod
    def pack(cls, result: Observed) -> WireObserved:
        """Turn a result's tensors into arrays."""
        trace = result.trace
        arrays = tuple(array(getattr(trace, part.name)) for part in fields(Trace))
        return cls(array(result.images), arrays, result.lost, result.steps)

    def unpack(self) -> Observed:
        """Turn the arrays back into a result."""
        trace = Trace(*(tensor(part) for part in self.trace))
        return Observed(tensor(self.images), trace, dict(self.lost), self.steps)
