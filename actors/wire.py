"""Batches and results as NumPy arrays, which Ray's object store passes on without a copy."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.attacks.ask import Lost
from pipeline.attacks.loop import Attacked, Trace
from pipeline.batch import Batch, Goal
from pipeline.run.engine import Look

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
    """A `Look` of arrays."""

    images: np.ndarray
    ids: tuple[str, ...]
    attack: str
    seed: int
    repeats: Mapping[str, int]

    @classmethod
    def pack(cls, look: Look) -> WireLook:
        """Turn the images into an array."""
        return cls(array(look.images), look.ids, look.attack, look.seed, dict(look.repeats))

    def unpack(self) -> Look:
        """Turn the array back into images."""
        return Look(tensor(self.images), self.ids, self.attack, self.seed, self.repeats)


@dataclass(frozen=True)
class WireAttacked:
    """An `Attacked` of arrays."""

    images: np.ndarray
    trace: tuple[np.ndarray, ...]
    lost: Mapping[int, Lost]

    @classmethod
    def pack(cls, result: Attacked) -> WireAttacked:
        """Turn a result's tensors into arrays."""
        trace = result.trace
        parts = (trace.values, trace.weights, trace.linf, trace.l2rms, trace.fallback)
        return cls(array(result.images), tuple(array(part) for part in parts), result.lost)

    def unpack(self) -> Attacked:
        """Turn the arrays back into a result."""
        return Attacked(
            tensor(self.images), Trace(*(tensor(part) for part in self.trace)), dict(self.lost)
        )
