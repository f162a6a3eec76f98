"""GhostNet: a surrogate whose skips or activations are eroded anew at every query (spec. 2.5)."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from pydantic import Field, model_validator
from torch import Tensor, fx, nn

from gauntlet.pipeline.attacks.part import register
from gauntlet.pipeline.attacks.surgery.surgery import Surgery
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.models.graph.editing import follow
from gauntlet.pipeline.models.graph.operations import (
    function_name,
    has_parameters,
    is_weight_layer,
    module_of,
    transparent,
)
from gauntlet.pipeline.models.graph.residuals import Residual, residuals
from gauntlet.pipeline.models.graph.tracing import finish, trace
from gauntlet.pipeline.models.streams import current
from gauntlet.pipeline.spec import Quantity

DEFAULT_TAU = 0.22
"""Official value for ResNet-50; 0.16 for ResNet-101, 0.12 for ResNet-152."""
DEFAULT_P = 0.006
"""Official keep probability 0.994, for Inception-v3."""


@transparent
def erode_skip(value: Tensor, tau: float, channel: int | None, purpose: str) -> Tensor:
    """Return eta x, eta ~ U[1 - tau, 1 + tau], (R, ...).

    Args:
        value: the skip's value, one row per stream.
        tau: half the width.
        channel: dimension of the channels, which draw each for itself; None: one draw a row.
        purpose: keys the draw.
    """
    width = 1 if channel is None else value.shape[channel]
    precise = torch.float64 if value.dtype == torch.float64 else torch.float32
    uniform = _streams(value, purpose).uniform(
        purpose, (width,), device=value.device, dtype=precise
    )
    shape = [len(value)] + [1] * (value.ndim - 1)
    if channel is not None:
        shape[channel] = width
    eta = (1 + tau * (2 * uniform - 1)).to(value.dtype)
    return value * eta.reshape(shape)


def erode_features(value: Tensor, p: float, purpose: str) -> Tensor:
    """Return r x / (1 - p), r ~ Bernoulli(1 - p) for every number, (R, ...).

    The dropped positions are found by their distances, which are geometric: that takes a draw for
    each dropped number, not for each number. The draws run out before the row does with a chance
    below 1e-15; the rest of the row would then be kept.

    Args:
        value: one row per stream.
        p: probability of dropping.
        purpose: keys the draw.
    """
    size = value[0].numel() if len(value) else 0
    count = math.ceil(size * p + 10 * math.sqrt(size * p) + 32)
    uniform = _streams(value, purpose).uniform(
        purpose, (count,), device=value.device, dtype=torch.float64
    )
    distances = 1 + (torch.log1p(-uniform) / math.log1p(-p)).floor()
    positions = (distances.cumsum(1) - 1).clamp_max(size).long()
    kept = torch.full((len(value), size + 1), 1 / (1 - p), dtype=value.dtype, device=value.device)
    kept = kept.scatter(1, positions, 0.0)[:, :size]
    return value * kept.reshape(value.shape)


def _streams(value: Tensor, purpose: str) -> Draws:
    draws = current()
    if len(draws) != len(value):
        raise ValueError(
            f"{purpose}: the layer has {len(value)} rows for {len(draws)} images; "
            "ghost needs networks that keep one row for each image"
        )
    return draws


@register
class GhostNetwork(Surgery):
    """x + F(x) becomes eta x + F(x), or f(x) becomes f(r x / (1 - p)).

    Skip erosion: eta ~ U[1 - tau, 1 + tau] on the skip of every residual sum, one draw for each
    example and channel. Dropout erosion: r ~ Bernoulli(1 - p) on what every convolution and linear
    layer reads, the image excepted. Every query is asked of another ghost.
    """

    token = "ghost"
    paper = "Li 2020"
    order: ClassVar[int] = 1
    tau: Quantity | None = Field(default=None, ge=0, le=1)
    """Half the width of eta. Default 0; if neither `tau` nor `p` is given, 0.22 in networks with
    residual sums."""
    p: Quantity | None = Field(default=None, ge=0, lt=1)
    """Probability of dropping. Default 0; if neither `tau` nor `p` is given, 0.006 in networks
    without residual sums."""
    per_channel: bool = True
    """Whether each channel draws its own eta (official code), not each layer one (paper)."""

    @model_validator(mode="after")
    def _used(self) -> GhostNetwork:
        if not self.per_channel and self.p is not None and not self.tau:
            raise ValueError("per_channel has an effect only on skips: give tau, too")
        return self

    @property
    def randomised(self) -> bool:
        """Whether anything is drawn."""
        return bool(self.tau or self.p) or (self.tau is None and self.p is None)

    def rewrite(self, network: nn.Module) -> nn.Module:
        """Return the eroded network, which draws from `gauntlet.pipeline.models.streams`."""
        graph = trace(network)
        sums = [residual for residual in residuals(graph) if residual.kind == "sum"]
        by_structure = self.tau is None and self.p is None
        tau = self.tau or (DEFAULT_TAU if by_structure and sums else 0.0)
        p = self.p or (DEFAULT_P if by_structure and not sums else 0.0)
        if tau and not sums:
            raise ValueError("ghost: the network has no residual sums for tau to erode; give p")
        if p:
            for value, readers in _inputs(graph).items():
                follow(
                    graph, value, erode_features, p, f"ghost/dropout/{value.name}", readers=readers
                )
        for residual in sums if tau else ():
            channel = _channel(graph, residual) if self.per_channel else None
            purpose = f"ghost/skip/{residual.node.name}"
            follow(
                graph, residual.skip, erode_skip, tau, channel, purpose, readers=(residual.node,)
            )
        return finish(graph)


def _inputs(graph: fx.GraphModule) -> dict[fx.Node, list[fx.Node]]:
    """Return what weight layers read, with the layers that read it; not what is just the image."""
    found: dict[fx.Node, list[fx.Node]] = {}
    learned: set[fx.Node] = set()
    for node in graph.graph.nodes:
        if is_weight_layer(graph, node) and node.all_input_nodes[0] in learned:
            found.setdefault(node.all_input_nodes[0], []).append(node)
        before = any(source in learned for source in node.all_input_nodes)
        if before or (node.op != "placeholder" and has_parameters(graph, node)):
            learned.add(node)
    return found


def _channel(graph: fx.GraphModule, residual: Residual) -> int:
    """Return the dimension of a sum's channels: 1 after a convolution, the last after a linear.

    A permutation in between exchanges the two, as in ConvNeXt.
    """
    permuted = False
    for node in reversed(residual.inside):
        if function_name(node) == "permute":
            permuted = not permuted
        if is_weight_layer(graph, node):
            linear = isinstance(module_of(graph, node), nn.Linear)
            last = linear or function_name(node) == "linear"
            return -1 if last != permuted else 1
    return 1
