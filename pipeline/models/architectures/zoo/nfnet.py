"""Residual networks without normalisation (Brock 2021): standardised weights, scaled branches."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gauntlet.pipeline.models.architectures.zoo.blocks import EMBEDDING

GAMMA = math.sqrt(2 / (1 - 1 / math.pi))
"""Makes ReLU keep a unit variance (section 4.2 there)."""
ALPHA = 0.5
"""Factor of every branch."""


class StandardConv(nn.Module):
    """A convolution whose filters have mean 0 and variance 1 / fan-in times a learned gain.

    W = gain (W' - mean) / sqrt(var fan-in), per filter (equation 1 there).
    """

    def __init__(self, width: int, out: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out, width, kernel, kernel))
        nn.init.kaiming_normal_(self.weight)
        self.gain = nn.Parameter(torch.ones(out, 1, 1, 1))
        self.bias = nn.Parameter(torch.zeros(out))
        self.stride, self.padding = stride, kernel // 2
        self.fan_in = width * kernel * kernel

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, out, H / stride, W / stride)."""
        centred = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        size = centred.square().sum((1, 2, 3), keepdim=True).clamp_min(1e-8).sqrt()
        return F.conv2d(features, self.gain * centred / size, self.bias, self.stride, self.padding)


class ScaledReLU(nn.Module):
    """ReLU times the constant that keeps a unit variance."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU()

    def forward(self, features: Tensor) -> Tensor:
        """Return the same shape."""
        output: Tensor = self.relu(features) * GAMMA
        return output


class Block(nn.Module):
    """x + alpha f(x / beta); beta^2 is the variance that x is expected to have."""

    def __init__(self, width: int, out: int, stride: int, beta: float) -> None:
        super().__init__()
        self.act1 = ScaledReLU()
        self.conv1 = StandardConv(width, out, 3, stride)
        self.act2 = ScaledReLU()
        self.conv2 = StandardConv(out, out, 3)
        self.shortcut: nn.Module | None = None
        if stride != 1 or width != out:
            self.shortcut = nn.Sequential(nn.AvgPool2d(stride), StandardConv(width, out, 1))
        self.skip_gain = nn.Parameter(torch.zeros(()))
        self.beta = beta

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, out, H / stride, W / stride)."""
        active = self.act1(features) / self.beta
        branch = self.conv2(self.act2(self.conv1(active)))
        # A transition takes its shortcut behind the activation, which resets the variance to 1.
        kept = features if self.shortcut is None else self.shortcut(active)
        output: Tensor = kept + ALPHA * self.skip_gain * branch
        return output


class NFNet(nn.Module):
    """Four blocks behind a stem that shrinks four times; nothing normalises activations."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            StandardConv(3, 16, 3, 2), ScaledReLU(), StandardConv(16, 32, 3, 2)
        )
        blocks: list[nn.Module] = []
        variance = 1.0
        for width, out, stride in ((32, 32, 1), (32, 60, 2), (60, 60, 1), (60, 64, 2)):
            blocks.append(Block(width, out, stride, math.sqrt(variance)))
            variance = ALPHA**2 + (1.0 if stride != 1 or width != out else variance)
        self.blocks = nn.Sequential(*blocks)
        self.last = ScaledReLU()
        self.embedding = nn.Linear(64 * 9, EMBEDDING)

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings, (B, 128), of normalised images (B, 3, 48, 48)."""
        features = self.last(self.blocks(self.stem(images)))
        embedding: Tensor = self.embedding(features.flatten(1))
        return embedding
