"""Piecewise-linear activations of a graph: which they are, in what order."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from torch import fx, nn

from gauntlet.pipeline.models.graph.operations import activation_name, function_name, module_of

Shape = Literal["relu", "relu6", "slope"]

_MODULES: tuple[tuple[type[nn.Module], Shape], ...] = (
    (nn.ReLU6, "relu6"),
    (nn.ReLU, "relu"),
    (nn.LeakyReLU, "slope"),
    (nn.PReLU, "slope"),
)
_FUNCTIONS: dict[str, Shape] = {
    "relu": "relu",
    "relu6": "relu6",
    "leaky_relu": "slope",
    "prelu": "slope",
}


@dataclass(frozen=True)
class Kink:
    """An activation made of straight pieces.

    Attributes:
        node: the activation.
        source: the node that it reads.
        shape: ``relu``, ``relu6``, or ``slope`` (leaky and parametric ReLU).
    """

    node: fx.Node
    source: fx.Node
    shape: Shape


def kinks(graph: fx.GraphModule) -> list[Kink]:
    """Return every ReLU, ReLU6, leaky ReLU and PReLU, in order."""
    found = []
    for node in graph.graph.nodes:
        module = module_of(graph, node)
        shape: Shape | None
        if module is not None:
            shape = next((shape for kind, shape in _MODULES if isinstance(module, kind)), None)
        else:
            shape = _FUNCTIONS.get(function_name(node))
        if shape is not None and node.all_input_nodes:
            found.append(Kink(node, node.all_input_nodes[0], shape))
    return found


def census(graph: fx.GraphModule) -> str:
    """Return which activations a network has, and how many: ``24 softmax, 12 GELU``; or "none"."""
    names = (activation_name(graph, node) for node in graph.graph.nodes)
    counts = Counter(name for name in names if name is not None)
    return ", ".join(f"{count} {name}" for name, count in counts.most_common()) or "none"
