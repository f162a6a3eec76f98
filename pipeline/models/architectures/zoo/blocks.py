"""The pieces that several families are put together from."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

EMBEDDING = 128
"""Numbers of an embedding."""

Activation = Callable[[int], nn.Module]
"""Makes an activation for a number of channels."""


def relu(width: int) -> nn.Module:
    """Return max(x, 0)."""
    return nn.ReLU()


def relu6(width: int) -> nn.Module:
    """Return min(max(x, 0), 6)."""
    return nn.ReLU6()


def prelu(width: int) -> nn.Module:
    """Return a ReLU with a learned slope per channel below zero (He 2015)."""
    return nn.PReLU(width)


def silu(width: int) -> nn.Module:
    """Return x sigmoid(x)."""
    return nn.SiLU()


def unit(
    width: int,
    out: int,
    kernel: int = 3,
    stride: int = 1,
    groups: int = 1,
    activation: Activation | None = relu,
) -> nn.Sequential:
    """Return convolution, batch norm and, unless None, an activation; padding kernel // 2."""
    conv = nn.Conv2d(width, out, kernel, stride, kernel // 2, groups=groups, bias=False)
    layers: list[nn.Module] = [conv, nn.BatchNorm2d(out)]
    if activation is not None:
        layers.append(activation(out))
    return nn.Sequential(*layers)


class SqueezeExcite(nn.Module):
    """Scales channels by sigmoid(W2 act(W1 mean(x))) (Hu 2018, equations 2 to 4).

    Args:
        width: channels.
        hidden: channels between the two layers.
        activation: between the two layers.
    """

    def __init__(self, width: int, hidden: int, activation: Activation = relu) -> None:
        super().__init__()
        self.squeeze = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Conv2d(width, hidden, 1)
        self.act = activation(hidden)
        self.expand = nn.Conv2d(hidden, width, 1)
        self.gate = nn.Sigmoid()

    def forward(self, features: Tensor) -> Tensor:
        """Return the scaled features, (B, width, H, W)."""
        scale = self.gate(self.expand(self.act(self.reduce(self.squeeze(features)))))
        scaled: Tensor = features * scale
        return scaled


def pooled_embedding(width: int) -> nn.Sequential:
    """Return mean over the map, a linear layer and batch norm: (B, width, H, W) -> (B, 128)."""
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(width, EMBEDDING, bias=False),
        nn.BatchNorm1d(EMBEDDING),
    )


def flat_embedding(width: int, cells: int) -> nn.Sequential:
    """Return a linear layer on all cells of the map and batch norm, ArcFace's output "E".

    (B, width, H, W) with H W = ``cells`` -> (B, 128) (Deng 2019, section 3.1).
    """
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(width * cells, EMBEDDING, bias=False),
        nn.BatchNorm1d(EMBEDDING),
    )
