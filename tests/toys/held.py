"""A surrogate that stops in the middle of a run until a file is there.

What a test does to a run that is half done then happens while work is left, however fast the
machine is and however long the test takes.
"""

from __future__ import annotations

import time
from itertools import count
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

from gauntlet.pipeline.models.quickstart import networks

_passes = count(1)


def held(name: str, until: Path, passes: int, module: str = "tests.toys.held") -> dict[str, Any]:
    """Describe a network of the quickstart that does so many passes for gradients in a process.

    With the next it waits, and so does every attack that asks it. This file may be copied to where
    nothing else of the tests is, and is another module then.
    """
    options = {"name": name, "until": str(until), "passes": passes}
    source = f"import:{module}:make"
    return {"name": name, "source": source, "options": options, "input_size": [32, 32]}


@fx.wrap  # else it would wait once, when the network is traced
def wait(images: Tensor, until: str, passes: int) -> Tensor:
    if torch.is_grad_enabled() and next(_passes) > passes:
        while not Path(until).exists():
            time.sleep(0.02)
    return images


class Held(nn.Module):
    def __init__(self, network: nn.Module, until: str, passes: int) -> None:
        super().__init__()
        self.network, self._until, self._passes = network, until, passes

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.network(wait(images, self._until, self._passes))
        return found


def make(name: str, until: str, passes: int) -> nn.Module:
    return Held(networks.load(name), until, passes)
