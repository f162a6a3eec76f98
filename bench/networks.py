"""The four CIFAR ResNets that the benchmarks use, with weights where they are at hand."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gauntlet.pipeline.models.model_spec import ModelSpec

DEPTHS = (20, 32, 44, 56)
DATA = Path(os.environ.get("GAUNTLET_DATA", Path(__file__).parents[2] / "shared" / "data"))


def random_network(depth: int) -> torch.nn.Module:
    """Return an untrained network: the same arithmetic, if no checkpoint is there."""
    from gauntlet.pipeline.models.architectures import ARCHITECTURES

    torch.manual_seed(depth)
    return ARCHITECTURES[f"cifar-resnet-{depth}"].constructor()


def specs() -> tuple[ModelSpec, ...]:
    """Return the networks' specs."""
    if (DATA / "resnet20-cifar10.safetensors").exists():
        return tuple(
            ModelSpec(
                name=f"resnet{depth}",
                source=f"file:{DATA}/resnet{depth}-cifar10.safetensors",
                architecture=f"cifar-resnet-{depth}",
            )
            for depth in DEPTHS
        )
    return tuple(
        ModelSpec(
            name=f"resnet{depth}",
            source="import:bench.networks:random_network",
            options={"depth": depth},
            input_size=(32, 32),
        )
        for depth in DEPTHS
    )


def networks() -> list[torch.nn.Module]:
    """Return the networks as modules of images in [0, 1], with their weights."""
    return [Normalised(spec) for spec in specs()]


class Normalised(torch.nn.Module):
    """A network behind its normalisation, as people hand theirs over."""

    mean: Tensor
    std: Tensor

    def __init__(self, spec: ModelSpec) -> None:
        from gauntlet.pipeline.models.build import build

        super().__init__()
        model = build(spec)
        self.network = model.network
        self.register_buffer("mean", model.mean)
        self.register_buffer("std", model.std)
        self.eval().requires_grad_(True)

    def forward(self, images: Tensor) -> Tensor:
        outputs: Tensor = self.network((images - self.mean) / self.std)
        return outputs


def cifar_images(count: int) -> tuple[Tensor, Tensor]:
    """Return the first CIFAR-10 test images, (count, 3, 32, 32) in [0, 1], and their labels."""
    with np.load(DATA / "cifar10-test-1000.npz") as found:
        pixels = torch.from_numpy(found["images"][:count]).permute(0, 3, 1, 2)
        return (pixels / 255).contiguous(), torch.from_numpy(found["labels"][:count]).long()


def images(count: int) -> tuple[Tensor, Tensor]:
    """Return 8-bit noise images in [0, 1], (count, 3, 32, 32), and labels: time is all we ask."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, 3, 32, 32), generator=generator)
    return pixels.float() / 255, torch.randint(0, 10, (count,), generator=generator)
