"""IA: a smoother surrogate with weaker late branches (specification 2.5)."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from pydantic import Field, model_validator
from torch import Tensor, fx, nn
from torch.nn import functional as F

from gauntlet.pipeline.attacks.part import register
from gauntlet.pipeline.attacks.surgery.activations import Kink, census, kinks
from gauntlet.pipeline.attacks.surgery.surgery import Surgery
from gauntlet.pipeline.files import obstacle
from gauntlet.pipeline.models.graph.editing import belongs_with, follow
from gauntlet.pipeline.models.graph.operations import nonlinear
from gauntlet.pipeline.models.graph.residuals import Residual, residuals
from gauntlet.pipeline.models.graph.tracing import finish, trace
from gauntlet.pipeline.spec import Quantity, Several

_STAGES = 4
_LARGEST = 1 << 20
"""Bytes of the file of a search."""
_DEEP = 50
"""Residual sums from which on a network counts as ResNet-152."""


class _Published(NamedTuple):
    beta: float
    lambdas: tuple[float, ...]


_RESNET = _Published(20.0, (0.98, 0.87, 0.73, 0.19))
_RESNET_152 = _Published(32.0, (0.89, 0.88, 0.70, 0.20))
_DENSENET = _Published(35.0, (0.8, 0.8, 0.8, 0.44))


@nonlinear
def smooth_relu(value: Tensor, beta: float) -> Tensor:
    """Return softplus(beta x) / beta, of any shape; at most ln 2 / beta above ReLU."""
    return F.softplus(value, beta)


@nonlinear
def smooth_relu6(value: Tensor, beta: float) -> Tensor:
    """Return the difference of two smooth ReLUs, as ReLU6 is that of two ReLUs."""
    return F.softplus(value, beta) - F.softplus(value - 6, beta)


@nonlinear
def smooth_slope(value: Tensor, beta: float, slope: Tensor | float) -> Tensor:
    """Return a x + (1 - a) softplus(beta x) / beta: leaky or parametric ReLU with its kink rounded.

    Args:
        value: (R, C, ...) or (R, C).
        beta: sharpness.
        slope: a, one number or one for each channel.
    """
    if isinstance(slope, Tensor) and slope.numel() > 1:
        slope = slope.reshape(-1, *[1] * (value.ndim - 2))
    return slope * value + (1 - slope) * F.softplus(value, beta)


def weaken(value: Tensor, factor: float) -> Tensor:
    """Return lambda F(x), of any shape: a branch's output times its stage's factor."""
    return value * factor


@register
class IntrinsicAttack(Surgery):
    """ReLU -> Softplus(beta), and x + F(x) -> x + lambda_s F(x) in stage s, forward too.

    The weights stay; (beta, lambda_1, ...) are those that maximise the alignment of the input
    gradient with the data's direction: the published ones of other surrogates of the same family,
    or found by a search for this surrogate. PReLU, leaky ReLU and ReLU6 are rounded alike. Without
    residual branches only beta acts.
    """

    token = "ia"
    paper = "Zhu 2022"
    random = False
    needs: ClassVar[str] = "ReLU or PReLU activations"
    order: ClassVar[int] = 0
    beta: Quantity | None = Field(default=None, gt=0)
    """Sharpness of the Softplus; `.inf` keeps the ReLUs. Default 20 (residual sums), 32 (50 of them
    or more), 35 (dense layers)."""
    lambdas: Several[Quantity] | None = None
    """Factor of the residual branches in each stage. Default for four stages: 0.98, 0.87, 0.73,
    0.19 (residual sums), 0.89, 0.88, 0.70, 0.20 (50 of them or more), 0.8, 0.8, 0.8, 0.44 (dense
    layers); other networks have no published ones."""
    search: str | None = None
    """JSON file with `beta` and `lambdas` that a search has found. Fields given here are kept."""

    @model_validator(mode="before")
    @classmethod
    def _read(cls, data: object) -> object:
        # Read when the job is read: what runs elsewhere carries the numbers.
        if not isinstance(data, dict) or data.get("search") is None:
            return data
        if data.get("beta") is not None and data.get("lambdas") is not None:
            return data
        found = _artefact(Path(str(data["search"])))
        given = {key: value for key, value in data.items() if value is not None}
        return {"beta": found["beta"], "lambdas": found["lambdas"], **given}

    def rewrite(self, network: nn.Module) -> nn.Module:
        """Return the smoother network."""
        graph = trace(network)
        rounded = kinks(graph)
        if not rounded and not (self.beta is not None and math.isinf(self.beta)):
            raise ValueError(
                "ia: the network has no ReLU, ReLU6, leaky ReLU or PReLU to be smoothed; "
                f"its activations: {census(graph)}"
            )
        found = residuals(graph)
        beta, lambdas = self._settings(found)
        for residual in found:
            factor = lambdas[residual.stage]
            if factor != 1:
                readers = (residual.node,) if residual.kind == "sum" else None
                follow(graph, residual.branch, weaken, factor, readers=readers)
        for kink in rounded if math.isfinite(beta) else ():
            _smooth(graph, kink, beta)
        return finish(graph)

    def _settings(self, found: list[Residual]) -> _Published:
        """Return beta, and lambda of each stage."""
        stages = found[-1].stage + 1 if found else 0
        known = _RESNET
        if any(residual.kind == "dense" for residual in found):
            known = _DENSENET
        elif len(found) >= _DEEP:
            known = _RESNET_152
        lambdas = self.lambdas
        if lambdas is None:
            if stages not in (0, _STAGES):
                raise ValueError(
                    f"ia: no lambdas are published for a network with {stages} stages; give "
                    f"{stages} of them in `lambdas`, or a `search`"
                )
            lambdas = known.lambdas[:stages]
        if len(lambdas) != stages:
            raise ValueError(f"ia: the network has {stages} stages, `lambdas` has {len(lambdas)}")
        return _Published(known.beta if self.beta is None else self.beta, lambdas)


def _artefact(path: Path) -> dict[str, Any]:
    if what := obstacle(path):
        raise ValueError(f"search: {path} cannot be read: {what}")
    if (size := path.stat().st_size) > _LARGEST:
        raise ValueError(f"search: {path} has {size:,} bytes: not what a search has written")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"search: {path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"search: {path} is not JSON: {error}") from None
    if not isinstance(found, dict) or not {"beta", "lambdas"} <= set(found):
        raise ValueError(f"search: {path} must hold `beta` and `lambdas`")
    return found


def _smooth(graph: fx.GraphModule, kink: Kink, beta: float) -> None:
    node, source = kink.node, kink.source
    with graph.graph.inserting_before(node):
        if kink.shape == "slope":
            args = (source, beta, _slope(graph, kink))
            new = graph.graph.call_function(smooth_slope, args)
        else:
            function = smooth_relu if kink.shape == "relu" else smooth_relu6
            new = graph.graph.call_function(function, (source, beta))
    belongs_with(new, node)
    node.replace_all_uses_with(new)
    graph.graph.erase_node(node)


def _slope(graph: fx.GraphModule, kink: Kink) -> Any:
    """Return the slope of a leaky ReLU, or the node of a parametric one's weights."""
    node = kink.node
    if node.op == "call_module":
        module = graph.get_submodule(str(node.target))
        if isinstance(module, nn.PReLU):
            return graph.graph.get_attr(f"{node.target}.weight")
        return float(module.negative_slope)  # type: ignore[arg-type]
    if len(node.all_input_nodes) > 1:
        return node.all_input_nodes[1]
    return node.kwargs.get("negative_slope", node.args[1] if len(node.args) > 1 else 0.01)
