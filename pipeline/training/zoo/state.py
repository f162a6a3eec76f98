"""Checkpoints of an unfinished training: all that its next update depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn

from gauntlet.pipeline.models.zoo.recipes import Recipe
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.training.tensor_file import write
from gauntlet.pipeline.training.zoo.margins import Head


@dataclass
class Training:
    """A training between two updates.

    Attributes:
        recipe: what is trained.
        network: as it is now.
        head: as it is now.
        optimiser: with its memory of past gradients.
        step: updates done.
        seconds: time that they took.
    """

    recipe: Recipe
    network: nn.Module
    head: Head
    optimiser: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0

    @property
    def parameters(self) -> list[nn.Parameter]:
        """What is trained: the network's parameters, then the head's."""
        return [*self.network.parameters(), *self.head.parameters()]


def save(training: Training, path: Path) -> None:
    """Write a checkpoint, whole or not at all.

    Raises:
        BadInput: when it cannot be written.
    """
    tensors = {f"network.{name}": value for name, value in training.network.state_dict().items()}
    tensors |= {f"head.{name}": value for name, value in training.head.state_dict().items()}
    for index, memory in training.optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{key}": value for key, value in memory.items()}
    metadata = {
        "recipe": training.recipe.model_dump_json(),
        "step": str(training.step),
        "seconds": repr(training.seconds),
    }
    write(tensors, path, metadata)


def restore(training: Training, path: Path) -> bool:
    """Bring a training to where its checkpoint was written; return whether there is one.

    Raises:
        BadInput: when the checkpoint is damaged, or was written under another recipe.
    """
    if not path.is_file():
        return False
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        step, seconds = int(metadata["step"]), float(metadata["seconds"])
    except Exception as error:  # safetensors has its own error classes, none of them public
        what = f"damaged checkpoint ({error}); start anew with --no-resume"
        raise BadInput(Problem(str(path), what)) from None
    if metadata.get("recipe") != training.recipe.model_dump_json():
        what = "this checkpoint was written under another recipe; start anew with --no-resume"
        raise BadInput(Problem(str(path), what))
    training.network.load_state_dict(_part(tensors, "network."))
    training.head.load_state_dict(_part(tensors, "head."))
    parameters = [value for group in training.optimiser.param_groups for value in group["params"]]
    memory: dict[int, dict[str, Tensor]] = {}
    for name, value in _part(tensors, "optimiser.").items():
        index, key = name.split(".")
        like = parameters[int(index)]
        if value.shape == like.shape:
            # A fused optimiser goes through parameter and memory side by side: channels last, too.
            value = torch.empty_like(like, requires_grad=False).copy_(value)
        memory.setdefault(int(index), {})[key] = value
    plain = training.optimiser.state_dict()
    training.optimiser.load_state_dict({**plain, "state": memory})
    training.step, training.seconds = step, seconds
    return True


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
