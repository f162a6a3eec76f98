"""Embedding match that costs nothing: people of a few pixels, and encoders that see them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gauntlet.jobs.spec.loading import of_python
from gauntlet.pipeline.run.plan import Plan
from tests.toys.jobs import network

ENCODER = "import:tests.toys.jobs:network"


def write_people(folder: Path, people: int = 5, shots: int = 2, first: int = 0) -> Path:
    """Write 8 x 8 photographs, ``p0/0.png``, of people of which each has a colour."""
    draws = np.random.default_rng(first)
    for person in range(first, first + people):
        (folder / f"p{person}").mkdir(parents=True, exist_ok=True)
        colour = draws.integers(40, 215, 3)
        for shot in range(shots):
            noise = draws.integers(-40, 40, (8, 8, 3))
            image = Image.fromarray((colour + noise).astype(np.uint8))
            image.save(folder / f"p{person}" / f"{shot}.png")
    return folder


def job(root: Path, goal: str = "impersonation", **changes: Any) -> dict[str, Any]:
    return {
        "name": "match",
        "task": {"kind": "embedding", "goal": goal},
        "root": str(root),
        "data": {"source": "images", "root": "people"},
        "success": {"cosine": 0.5},
        "surrogates": [
            {"name": f"s{seed}", "source": ENCODER, "options": {"seed": seed}} for seed in range(3)
        ],
        "targets": [
            {"name": "t", "source": ENCODER, "options": {"seed": 2}, "white_box": True},
        ],
        "attacks": [{"base": "pgd-mi", "combine": "rgea", "epsilon": "24/255", "steps": 3}],
        "resources": {"placement": "in-process", "batch": 4, "threads": 1},
    } | changes


def plan(root: Path, goal: str = "impersonation", **changes: Any) -> Plan:
    return of_python(job(root, goal, **changes)).plan


def seen(images: Tensor) -> Tensor:
    """Return what the target sees in images (B, 3, 8, 8), float64 of length 1."""
    with torch.no_grad():
        return torch.nn.functional.normalize(network(2)(images).double(), dim=1)


def photograph(path: Path) -> Tensor:
    """Return an image file as (3, H, W) in [0, 1]."""
    levels = torch.from_numpy(np.array(Image.open(path)))
    return levels.permute(2, 0, 1).float() / 255
