"""The four CIFAR ResNets that the benchmarks use, with weights where they are at hand."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import Tensor

from pipeline.models.spec import ModelSpec

DEPTHS = (20, 32, 44, 56)
DATA = Path(os.environ.get("GAUNTLET_DATA", Path(__file__).parents[2] / "shared" / "data"))


def random_network(depth: int) -> torch.nn.Module:
    """Return an untrained network: the same arithmetic, if no checkpoint is there."""
    from pipeline.models.architectures import ARCHITECTURES

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


def images(count: int) -> tuple[Tensor, Tensor]:
    """Return 8-bit noise images in [0, 1], (count, 3, 32, 32), and labels: time is all we ask."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, 3, 32, 32), generator=generator)
    return pixels.float() / 255, torch.randint(0, 10, (count,), generator=generator)
