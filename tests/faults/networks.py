"""Toy networks that can be counted, held and made sick from outside."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tests.faults.gates import VARIABLE, Gates, Sickness

PACE = 0.02
"""Seconds that a pass takes, so that a run has several commits and moments lie apart."""
SLOW = 1.0
"""Seconds that a pass of a slow process takes."""
PIECE = 16
"""Megabytes that a greedy process takes at a time."""


class Gated(nn.Module):
    """A small network behind a gate."""

    def __init__(self, seed: int, role: str) -> None:
        super().__init__()
        self.role = role
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.inner = nn.Sequential(
                nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(6), nn.Flatten(),
                nn.Linear(4 * 36, 5),
            )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        sickness = Gates(Path(os.environ[VARIABLE])).passed(self.role)
        time.sleep(PACE)
        outputs: Tensor = self.inner(images)
        return outputs if sickness is None else answer(sickness, outputs)


def answer(sickness: Sickness, outputs: Tensor) -> Tensor:
    """Return what a sick process makes of its answers, (B, K)."""
    match sickness.how:
        case "slow":
            time.sleep(SLOW)
        case "raises":
            raise RuntimeError("this process is sick")
        case "nan":  # of every third row
            wrong = torch.arange(len(outputs)) % 3 == 0
            return torch.where(wrong[:, None], torch.nan, outputs)
        case "greedy":
            taken = []
            for _ in range(len(outputs) * sickness.megabytes // PIECE):
                taken.append(np.ones(PIECE * 2**20, np.uint8))
                time.sleep(0.002)
            time.sleep(SLOW)
    return outputs


def network(seed: int, role: str) -> nn.Module:
    """Make the network."""
    return Gated(seed, role)
