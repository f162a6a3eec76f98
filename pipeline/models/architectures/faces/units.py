"""What several families of face networks are made of."""

from __future__ import annotations

from torch import Tensor, nn

EMBEDDING = 512
"""Numbers of an embedding: all published networks here agree."""


def conv(
    width: int, out: int, kernel: int = 1, stride: int = 1, groups: int = 1, bias: bool = False
) -> nn.Conv2d:
    """Return a convolution whose output at stride 1 has the input's size."""
    return nn.Conv2d(width, out, kernel, stride, kernel // 2, groups=groups, bias=bias)


def tail(width: int, side: int = 7, affine: bool = True) -> nn.Sequential:
    """Return the usual end, (B, width, side, side) -> (B, 512): BN, dropout, linear, BN.

    Args:
        width: channels of the last map.
        side: its height and width.
        affine: whether the last batch norm has a weight and a bias.
    """
    return nn.Sequential(
        nn.BatchNorm2d(width),
        nn.Dropout(),  # none where networks are attacked; it holds the place of its number
        nn.Flatten(),
        nn.Linear(width * side * side, EMBEDDING),
        nn.BatchNorm1d(EMBEDDING, affine=affine),
    )


def of_length_one(embeddings: Tensor) -> Tensor:
    """Return each row divided by its L2 norm, (B, D)."""
    output: Tensor = embeddings / embeddings.norm(dim=1, keepdim=True)
    return output


class Gate(nn.Module):
    """Squeeze and excitation: channels are multiplied by what their means ask for.

    Args:
        width: channels.
        reduced: channels between the two 1 x 1 convolutions.
        names: of the two convolutions.
        bias: whether these have one.
        inner: activation between them.
        outer: activation behind them.
    """

    def __init__(
        self,
        width: int,
        reduced: int,
        *,
        names: tuple[str, str] = ("conv_reduce", "conv_expand"),
        bias: bool = True,
        inner: nn.Module | None = None,
        outer: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.names = names
        self.add_module(names[0], conv(width, reduced, bias=bias))
        self.inner = inner or nn.ReLU()
        self.add_module(names[1], conv(reduced, width, bias=bias))
        self.outer = outer or nn.Sigmoid()

    def forward(self, features: Tensor) -> Tensor:
        """Return the weighted features, of the same shape."""
        reduce, expand = (getattr(self, name) for name in self.names)
        weights: Tensor = self.outer(expand(self.inner(reduce(self.mean(features)))))
        return features * weights
