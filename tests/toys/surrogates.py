"""Small models whose gradients are known in closed form, and how to attack them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from gauntlet import Attack, Batch, Goal, Model, adapt
from gauntlet.pipeline.attacks.loop import Attacked, run
from gauntlet.pipeline.oracle import InProcessOracle

SHAPE = (3, 8, 8)


class Scalar(nn.Module):
    """Logits [J(x), 0]: with `objective: logit` and wanted class 0 the objective is J itself."""

    def __init__(self, objective: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.objective = objective
        self.anchor = nn.Parameter(torch.zeros(1, dtype=torch.float64))

    def forward(self, images: Tensor) -> Tensor:
        value = self.objective(images)
        return torch.stack([value, torch.zeros_like(value)], 1)


def linear(weights: Tensor) -> Scalar:
    return Scalar(lambda x: (x * weights).flatten(1).sum(1))


def quadratic(centre: Tensor, scale: float = 1.0) -> Scalar:
    return Scalar(lambda x: scale * 0.5 * (x - centre).square().flatten(1).sum(1))


class SmallNet(nn.Module):
    """A real, smooth little network."""

    def __init__(self, seed: int, classes: int = 4, gain: float = 1.0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)

        def weights(*shape: int) -> nn.Parameter:
            fan = shape[1] * (shape[2] * shape[3] if len(shape) == 4 else 1)
            drawn = torch.randn(*shape, generator=generator, dtype=torch.float64)
            return nn.Parameter(drawn / fan**0.5)

        self.first = weights(6, 3, 3, 3)
        self.last = weights(classes, 6 * 16)
        self.norm = nn.BatchNorm2d(6).double()
        self.gain = gain
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        hidden = nn.functional.conv2d(images - 0.5, self.first, padding=1)
        hidden = nn.functional.softplus(self.norm(hidden), beta=4)
        pooled = nn.functional.adaptive_avg_pool2d(hidden, 4).flatten(1)
        return 8 * self.gain * pooled @ self.last.T


def images(count: int, seed: int = 0, shape: Sequence[int] = SHAPE) -> Tensor:
    """8-bit images as float64, away from black and white."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(40, 216, (count, *shape), generator=generator).double() / 255


def vectors(count: int, seed: int = 1, shape: Sequence[int] = SHAPE) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, *shape, generator=generator, dtype=torch.float64)


def scalar_batch(clean: Tensor) -> Batch:
    """Examples whose objective is the first output of a `Scalar`."""
    zeros = torch.zeros(len(clean), dtype=torch.int64)
    return Batch(names(len(clean)), clean, Goal.TARGETED, wanted=zeros)


def class_batch(clean: Tensor, classes: int = 4) -> Batch:
    labels = torch.arange(len(clean)) % classes
    return Batch(names(len(clean)), clean, Goal.UNTARGETED, labels=labels)


def names(count: int) -> tuple[str, ...]:
    return tuple(f"example-{i}" for i in range(count))


def oracle(*modules: nn.Module) -> InProcessOracle:
    return InProcessOracle([as_model(module, i) for i, module in enumerate(modules)])


def as_model(module: nn.Module, index: int) -> Model:
    return adapt(module, name=f"m{index}")


def run_float(
    attack: Attack, batch: Batch, modules: Sequence[nn.Module], seed: int = 0
) -> Attacked:
    return run(attack, batch, oracle(*modules), seed=seed, quantize=False)


def steps_of(attack: Attack, batch: Batch, modules: Sequence[nn.Module]) -> list[Tensor]:
    """The points after each update, (B, 3, H, W) each, not rounded to 8 bits."""
    seen: list[Tensor] = []
    run(attack, batch, oracle(*modules), quantize=False, on_step=lambda t, x: seen.append(x))
    return seen


def recipe(**fields: object) -> Attack:
    """An attack on the scalar objective."""
    return Attack(**{"objective": "logit", **fields})
