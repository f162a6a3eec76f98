"""Five tiny networks of different build, with their weights beside this file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor, nn

HERE = Path(__file__).parent
CLASSES, SIZE = 8, 32


def _norm_relu(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU())


def _convolution(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    layer = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
    return nn.Sequential(layer, _norm_relu(outputs))


def _head(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, CLASSES))


class Residual(nn.Module):
    """x + F(x)."""

    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch

    def forward(self, images: Tensor) -> Tensor:
        """Return the sum of the input and its branch."""
        out: Tensor = images + self.branch(images)
        return out


def _plain() -> nn.Module:
    return nn.Sequential(
        _convolution(3, 16),
        _convolution(16, 24, stride=2),
        _convolution(24, 32, stride=2),
        _convolution(32, 48, stride=2),
        _head(48),
    )


def _residual() -> nn.Module:
    def block(width: int) -> nn.Module:
        return Residual(nn.Sequential(_convolution(width, width), _convolution(width, width)))

    return nn.Sequential(
        _convolution(3, 16), block(16), _convolution(16, 32, stride=2), block(32),
        _convolution(32, 32, stride=2), block(32), _head(32),
    )  # fmt: skip


def _wide() -> nn.Module:
    return nn.Sequential(
        _convolution(3, 16, size=7, stride=2), _convolution(16, 32, size=5, stride=2),
        _convolution(32, 48), nn.MaxPool2d(2), _convolution(48, 48), _head(48),
    )  # fmt: skip


def _separable() -> nn.Module:
    def block(inputs: int, outputs: int, stride: int) -> nn.Module:
        depthwise = nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False)
        return nn.Sequential(depthwise, _norm_relu(inputs), _convolution(inputs, outputs, size=1))

    return nn.Sequential(
        _convolution(3, 24), block(24, 48, 2), block(48, 64, 1), block(64, 64, 2),
        block(64, 96, 2), _head(96),
    )  # fmt: skip


def _patches() -> nn.Module:
    def mix(width: int) -> nn.Module:
        spatial = nn.Conv2d(width, width, 5, 1, 2, groups=width)
        return nn.Sequential(
            Residual(nn.Sequential(spatial, nn.GELU(), nn.BatchNorm2d(width))),
            nn.Conv2d(width, width, 1),
            nn.GELU(),
            nn.BatchNorm2d(width),
        )

    stem = nn.Sequential(nn.Conv2d(3, 48, 4, 4), nn.GELU(), nn.BatchNorm2d(48))
    return nn.Sequential(stem, mix(48), mix(48), mix(48), _head(48))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "plain": _plain,
    "residual": _residual,
    "wide": _wide,
    "separable": _separable,
    "patches": _patches,
}


def load(name: str) -> nn.Module:
    """Return a trained network: takes images in [0, 1], (B, 3, 32, 32), returns 8 logits.

    Raises:
        ValueError: when there is no such network.
    """
    if name not in NETWORKS:
        raise ValueError(f"unknown network {name!r}; known: {', '.join(NETWORKS)}")
    network = nn.Sequential(nn.BatchNorm2d(3, affine=False), NETWORKS[name]())
    weights = load_file(HERE / f"{name}.safetensors")
    network.load_state_dict({key: value.float() for key, value in weights.items()}, strict=False)
    missing = set(network.state_dict()) - set(weights)
    if any(not key.endswith("num_batches_tracked") for key in missing):
        raise ValueError(f"{name}.safetensors lacks {', '.join(sorted(missing))}")
    return network
