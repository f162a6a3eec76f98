"""A job that costs nothing: random networks on random images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from gauntlet.jobs.spec.loading import load
from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.run.plan import Plan

JOB = """\
name: tiny
task: {kind: classification, goal: untargeted}
data: {source: npz, path: images.npz}
surrogates:
  - {name: s0, source: "import:tests.toys.jobs:network", options: {seed: 0}}
  - {name: s1, source: "import:tests.toys.jobs:network", options: {seed: 1}}
targets:
  - {name: t0, source: "import:tests.toys.jobs:network", options: {seed: 2}}
attacks:
  - {base: i, epsilon: 8/255, steps: 2}
resources: {placement: in-process, batch: 4}
"""


def network(seed: int) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5))


def deaf(seed: int = 0) -> nn.Sequential:
    """A network that does not look at the image: its gradient is exactly zero."""
    net = network(seed)
    with torch.no_grad():
        net[3].get_parameter("weight").zero_()
    return net


class Vast(nn.Module):
    """A network that asks for more memory than any machine has."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.sum() * torch.empty(2**60)


def write(folder: Path, *changes: tuple[str, str], text: str = JOB) -> Path:
    """Write the job with some of its text replaced, and its images."""
    for old, new in changes:
        assert old in text, f"{old!r} is not in the job"
        text = text.replace(old, new)
    draws = np.random.default_rng(0)
    images = draws.integers(0, 256, (8, 8, 8, 3), dtype=np.uint8)
    np.savez(folder / "images.npz", images=images, labels=np.arange(8) % 5)
    path = folder / "job.yaml"
    path.write_text(text)
    return path


def plan(folder: Path, *changes: tuple[str, str]) -> Plan:
    return load(write(folder, *changes))


def problems(folder: Path, *changes: tuple[str, str]) -> list[str]:
    """Return the job's problems, without the folder in front."""
    path = write(folder, *changes)
    with pytest.raises(BadInput) as caught:
        load(path)
    return [str(problem).removeprefix(f"{folder}/") for problem in caught.value.problems]


def attacks(text: str) -> tuple[str, str]:
    """Return the change that gives the job other attacks, as a YAML block."""
    old = "attacks:\n  - {base: i, epsilon: 8/255, steps: 2}\n"
    return old, f"attacks:\n{text}\n"
