"""Games whose values are known, and images and networks to play them on."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gauntlet.pipeline.batch import Batch, Goal
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.interactions import Grid, PerturbationGame


def normal(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def uniform(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, generator=generator, dtype=torch.float64)


def symmetric(seed: int, *shape: int) -> Tensor:
    """A random symmetric matrix, of both signs."""
    square = normal(seed, *shape, shape[-1])
    return (square + square.mT) / 2


def draws(examples: int, seed: int = 0) -> Draws:
    return Draws.keyed(seed, names(examples))


def names(examples: int) -> tuple[str, ...]:
    return tuple(f"example-{i}" for i in range(examples))


class TableGame:
    """Games given by the values of all coalitions, (B, 2^n); bit a says whether a is in."""

    covers = True

    def __init__(self, table: Tensor) -> None:
        self.table = table
        self.players = table.shape[1].bit_length() - 1
        self.rows = 0

    @property
    def examples(self) -> int:
        return len(self.table)

    @property
    def empty(self) -> Tensor:
        return self.table[:, 0]

    @property
    def whole(self) -> Tensor:
        return self.table[:, -1]

    def values(self, sets: Tensor, *, complement: bool = False) -> Tensor:
        inside = (~sets if complement else sets).expand(self.examples, -1, -1)
        codes = (inside.long() << torch.arange(self.players)).sum(2)
        self.rows += codes.numel()
        return self.table.gather(1, codes)


def random_game(seed: int, players: int, examples: int = 2) -> TableGame:
    return TableGame(normal(seed, examples, 2**players))


class QuadraticGame:
    """v(S) = g . delta_S + delta_S^T H delta_S / 2, every entry of delta a player."""

    covers = True

    def __init__(self, g: Tensor, H: Tensor, delta: Tensor) -> None:
        self.g, self.H, self.delta = g, H, delta

    @property
    def examples(self) -> int:
        return len(self.delta)

    @property
    def players(self) -> int:
        return self.delta.shape[1]

    @property
    def empty(self) -> Tensor:
        return torch.zeros(self.examples, dtype=torch.float64)

    @property
    def whole(self) -> Tensor:
        return self.values(torch.ones(1, self.players, dtype=torch.bool))[:, 0]

    def values(self, sets: Tensor, *, complement: bool = False) -> Tensor:
        inside = (~sets if complement else sets).expand(self.examples, -1, -1)
        kept = inside * self.delta[:, None]
        linear = (kept * self.g[:, None]).sum(2)
        return linear + 0.5 * torch.einsum("bmi,bij,bmj->bm", kept, self.H, kept)


def random_quadratic(seed: int, players: int, examples: int = 2) -> QuadraticGame:
    return QuadraticGame(
        normal(seed, examples, players),
        symmetric(seed + 1, examples, players),
        normal(seed + 2, examples, players),
    )


class QuadraticModel(nn.Module):
    """Logits [J(x), 0] with a quadratic J: for label 1 the margin is J itself."""

    def __init__(self, seed: int, side: int) -> None:
        super().__init__()
        self.g = normal(seed, 3 * side**2)
        self.H = symmetric(seed + 1, 3 * side**2)

    def forward(self, images: Tensor) -> Tensor:
        flat = images.flatten(1)
        value = flat @ self.g + 0.5 * (flat @ self.H * flat).sum(1)
        return torch.stack([value, torch.zeros_like(value)], 1)


class ReluNet(nn.Module):
    """A piecewise-linear network of three layers; keeps the number of rows of its calls."""

    def __init__(self, seed: int, side: int, classes: int = 5, width: int = 20) -> None:
        super().__init__()
        self.first = normal(seed, width, 3 * side**2) / side
        self.bias = normal(seed + 1, width) / 2
        self.second = normal(seed + 2, width, width) / width**0.5
        self.last = normal(seed + 3, classes, width)
        self.calls: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.calls.append(len(images))
        hidden = ((images.flatten(1) - 0.5) @ self.first.T + self.bias).relu()
        return (hidden @ self.second.T).relu() @ self.last.T


def classes_batch(examples: int, side: int, seed: int = 0, classes: int = 5) -> Batch:
    labels = torch.arange(examples) % classes
    images = uniform(seed, examples, 3, side, side)
    return Batch(names(examples), images, Goal.UNTARGETED, labels=labels)


def perturbed(batch: Batch, seed: int = 1, size: float = 0.3) -> Tensor:
    moved = batch.images + size * normal(seed, *batch.images.shape)
    return moved.clamp(0, 1)


def relu_game(
    examples: int = 3, side: int = 6, grid: Grid | None = None, rows_per_pass: int = 64
) -> PerturbationGame:
    batch = classes_batch(examples, side)
    return PerturbationGame(
        ReluNet(3, side),
        batch,
        perturbed(batch),
        grid=grid or Grid(3, 3),
        rows_per_pass=rows_per_pass,
    )
