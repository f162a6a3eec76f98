"""Images whose class is a colour, and networks that tell colours in one input convention only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor, nn

from gauntlet.jobs.spec.loading import load
from gauntlet.pipeline.run.plan import Plan

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLASSES = 12


def palette(classes: int = CLASSES) -> np.ndarray:
    """Return distinct colours, (classes, 3), none near its own mirror image in channel order."""
    draws = np.random.default_rng(7)
    colours = draws.permutation(np.linspace(0.1, 0.9, classes))
    return np.stack([colours, draws.uniform(0.2, 0.8, classes), 1 - colours], axis=1)


class Colours(nn.Module):
    """Logits of the colours: the nearer, the higher, in what the network takes for them."""

    colours: Tensor

    def __init__(self, wants: str, extra: int) -> None:
        super().__init__()
        colours = torch.tensor(palette(), dtype=torch.float32)
        mean, std = torch.tensor(MEAN), torch.tensor(STD)
        if wants == "imagenet":
            colours = (colours - mean) / std
        elif wants == "bgr":
            colours = colours.flip(1)
        elif wants == "bytes":
            colours = 255 * colours
        # Classes that no image has, in front, as a background class is.
        self.register_buffer("colours", torch.cat([torch.full((extra, 3), 1e6), colours]))

    def forward(self, images: Tensor) -> Tensor:
        return -(images.mean((2, 3))[:, None] - self.colours).square().sum(2)


class Saturating(nn.Module):
    """Embeds a colour in [0, 1]; of brighter images it sees only that they are bright."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.tanh(8 * (images.mean((2, 3)) - 0.5))


def network(name: str, wants: str = "unit", extra: int = 0) -> nn.Module:
    """Make a network; the name makes no difference but to those who ask whether two are one."""
    return Colours(wants, extra)


def embedding() -> nn.Module:
    return Saturating()


def flat() -> nn.Module:
    """Make a network that returns no row an image."""
    return nn.Flatten(0)


def model(name: str, wants: str = "unit", extra: int = 0, **more: Any) -> dict[str, Any]:
    source = "import:tests.toys.colours:network"
    options = {"name": name, "wants": wants, "extra": extra}
    return {"name": name, "source": source, "options": options, **more}


def pictures(colours: np.ndarray) -> np.ndarray:
    """Return one picture a colour, uint8 (N, 4, 4, 3)."""
    wide = np.broadcast_to(colours[:, None, None], (len(colours), 4, 4, 3))
    return np.asarray(255 * wide, dtype=np.uint8)


def job(folder: Path, labels: np.ndarray, **changes: Any) -> Path:
    """Write a job on as many images as there are labels; their colours are 0 to 11 in turn."""
    true = np.arange(len(labels)) % CLASSES
    np.savez(folder / "images.npz", images=pictures(palette()[true]), labels=labels)
    content = {
        "name": "colours",
        "task": {"kind": "classification", "goal": "untargeted"},
        "data": {"source": "npz", "path": "images.npz", "classes": int(max(labels.max() + 1, 2))},
        "surrogates": [model("s0")],
        "targets": [model("t0")],
        "attacks": [{"base": "i", "steps": 1}],
        "resources": {"placement": "in-process", "threads": 1},
    } | changes
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def plan(folder: Path, labels: np.ndarray, **changes: Any) -> Plan:
    return load(job(folder, labels, **changes))


def of_whole_batches() -> nn.Module:
    """Return a network that gives one row for all images."""
    return nn.Flatten(start_dim=0)
