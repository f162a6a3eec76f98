"""A surrogate that fails in one actor, however often that starts anew, and waits in the others."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import ray
import torch
from torch import Tensor, fx, nn

from gauntlet.pipeline.models.quickstart import networks


def sick(name: str, folder: Path) -> dict[str, Any]:
    """Describe a network of the quickstart that fails at gradients in the actor that asks first.

    The others wait until ``folder / "go"`` is there.
    """
    options = {"name": name, "folder": str(folder)}
    source = "import:tests.toys.sick:make"
    return {"name": name, "source": source, "options": options, "input_size": [32, 32]}


@fx.wrap  # else it would happen once, when the network is traced
def fail(images: Tensor, folder: str) -> Tensor:
    if torch.is_grad_enabled():
        me, first = str(ray.get_runtime_context().get_actor_id()), Path(folder) / "first"
        with suppress(FileExistsError), first.open("x") as file:
            file.write(me)
        while not (written := first.read_text()) or (
            written != me and not (Path(folder) / "go").exists()
        ):
            time.sleep(0.02)
        if written == me:
            raise RuntimeError("CUDA error: unspecified launch failure")
    return images


class Sick(nn.Module):
    def __init__(self, network: nn.Module, folder: str) -> None:
        super().__init__()
        self.network, self._folder = network, folder

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.network(fail(images, self._folder))
        return found


def make(name: str, folder: str) -> nn.Module:
    return Sick(networks.load(name), folder)
