"""SGM: the skip gradient method (specification 2.5)."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from gauntlet.pipeline.attacks.part import register
from gauntlet.pipeline.attacks.surgery.surgery import Surgery
from gauntlet.pipeline.models.graph.editing import follow
from gauntlet.pipeline.models.graph.operations import transparent
from gauntlet.pipeline.models.graph.residuals import residuals
from gauntlet.pipeline.models.graph.tracing import finish, trace
from gauntlet.pipeline.spec import Quantity

DEFAULT_GAMMA = {"sum": 0.2, "dense": 0.5}
"""PGD's values of Wu 2020: ResNet and DenseNet."""


class _ScaledGradient(torch.autograd.Function):
    """The identity, whose derivative is called gamma; any order, backward and forward."""

    generate_vmap_rule = True

    @staticmethod
    def forward(value: Tensor, gamma: float) -> Tensor:
        # A view of its input would have to have a view of the input's tangent.
        return value.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float], output: Tensor) -> None:
        ctx.gamma = inputs[1]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient * ctx.gamma, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, _: None) -> Tensor:
        scaled: Tensor = tangent * ctx.gamma
        return scaled


@transparent
def scale_gradient(value: Tensor, gamma: float) -> Tensor:
    """Return the value as it is, of any shape; what flows back through it is times gamma."""
    scaled: Tensor = _ScaledGradient.apply(value, gamma)
    return scaled


@register
class SkipGradient(Surgery):
    """x + F(x) as it is; backward, d(x + F(x))/dx = I + gamma dF/dx.

    A node on each residual branch's output scales the gradient, whatever activations the branch
    has; in DenseNet, on each dense layer's new features. The official code scales at every ReLU and
    divides by the batch's standard deviation at each block: on a batch this is the same direction,
    up to one positive factor, where the first block of each stage is left alone.
    """

    token = "sgm"
    paper = "Wu 2020"
    random = False
    needs: ClassVar[str] = "residual sums or dense layers"
    order: ClassVar[int] = 3
    gamma: Quantity | None = Field(default=None, ge=0, le=1)
    """Decay of the branches' gradient. Default 0.2 for residual sums, 0.5 for dense layers."""
    skip_first: bool = True
    """Whether the first block of each stage is left alone, as in the official code, which finds it
    by its name (and blocks 10, 20, 30 too). Here it is found by its projected skip; where a network
    projects any, its first block is spared without one, too. The paper decays every block."""

    def rewrite(self, network: nn.Module) -> nn.Module:
        """Return the network with scaled branch gradients; the outputs are the same bits."""
        graph = trace(network)
        found = residuals(graph)
        if not found:
            raise ValueError("sgm: the network has no residual sums and no dense layers to decay")
        if self.skip_first and all(residual.first for residual in found):
            raise ValueError(
                "sgm: every block of the network starts a stage, so that none is left to decay; "
                "set skip_first: false"
            )
        for residual in found:
            gamma = DEFAULT_GAMMA[residual.kind] if self.gamma is None else self.gamma
            if gamma == 1 or (residual.first and self.skip_first):
                continue
            readers = (residual.node,) if residual.kind == "sum" else None
            follow(graph, residual.branch, scale_gradient, gamma, readers=readers)
        return finish(graph)
