"""Layers of a network by the names of its modules: listing them, stopping at one, reading one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from gauntlet.pipeline.models.graph.operations import is_activation, is_constant, is_weight_layer
from gauntlet.pipeline.models.graph.residuals import residuals
from gauntlet.pipeline.models.graph.stack import Call, calls_around, modules_around
from gauntlet.pipeline.models.graph.tracing import finish, trace
from gauntlet.pipeline.problems import suggest

_MOST_NAMES = 24


@dataclass(frozen=True)
class LayerInfo:
    """One layer that can be named.

    Attributes:
        name: path of the module: ``layer2``, ``layer2.1.relu``.
        kind: the module's class.
        shape: of its output for the given input, without the batch; None when none was given.
    """

    name: str
    kind: str
    shape: tuple[int, ...] | None


def layers(network: nn.Module, inputs: Tensor | None = None) -> list[LayerInfo]:
    """Return every layer that gives one value, in the order in which their values are ready.

    Args:
        network: a bare network or a graph; never changed.
        inputs: (B, 3, H, W), to find the shapes with.

    Raises:
        ValueError: when the network cannot be traced.
    """
    graph = trace(network)
    ready = _outputs(graph)
    shapes = {} if inputs is None else _shapes(graph, inputs)
    order = {node: index for index, node in enumerate(graph.graph.nodes)}
    kinds = {name: type(part).__name__ for name, part in network.named_modules()}
    # Of layers that are ready together, the outer one comes last, as it was called.
    names = sorted(ready, key=lambda name: (order[ready[name]], -name.count(".")))
    return [
        LayerInfo(name, kinds.get(name, _recorded_kind(ready[name], name)), shapes.get(ready[name]))
        for name in names
        if inputs is None or ready[name] in shapes
    ]


def truncate(network: nn.Module, layer: str) -> nn.Module:
    """Return a network that stops at a layer and returns its activation, (R, F).

    It shares the parameters' memory; what comes after the layer is not computed.

    Args:
        network: a bare network or a graph, on preprocessed images (R, 3, H, W); never changed.
        layer: path of a module, a container's too.

    Raises:
        ValueError: when the network cannot be traced or has no such layer (near names are listed).
    """
    graph = trace(network)
    node = _find(graph, layer)
    end = graph.graph.output_node()
    with graph.graph.inserting_before(end):
        features = graph.graph.call_function(torch.flatten, (node, 1))
    end.args = (features,)
    return finish(graph)


def tap(network: nn.Module, layer: str) -> nn.Module:
    """Return a network that gives a layer's activation, (R, F), and its outputs.

    The outputs are computed from these features, so that a gradient of both flows through them.

    Args:
        network: a bare network or a graph, on preprocessed images (R, 3, H, W); never changed.
        layer: path of a module, a container's too.

    Raises:
        ValueError: when the network cannot be traced or has no such layer (near names are listed).
    """
    graph = trace(network)
    node = _find(graph, layer)
    end = graph.graph.output_node()
    flat, whole = _flat_and_whole(graph, node)
    end.args = ((flat, end.args[0] if end.args[0] is not node else whole),)
    return finish(graph)


def _flat_and_whole(graph: fx.GraphModule, node: fx.Node) -> tuple[fx.Node, fx.Node]:
    """Return the flattened value, and that value in its own shape for everything that reads it.

    The second is made of the first: d outputs / d features exists.
    """
    readers = list(node.users)
    with graph.graph.inserting_after(node):
        flat = graph.graph.call_function(torch.flatten, (node, 1))
    with graph.graph.inserting_after(flat):
        whole = graph.graph.call_method("view_as", (flat, node))
    whole.meta = dict(node.meta)
    for reader in readers:
        reader.replace_input_with(node, whole)
    return flat, whole


def default_layer(network: nn.Module) -> str:
    """Return a layer in the middle: where feature attacks act unless told otherwise.

    The end of the second of four residual or dense stages (of the middle one in general), the
    middle block of a network with one stage, the activation after half of the weight layers of a
    network without residual sums.

    Raises:
        ValueError: when the network cannot be traced.
    """
    graph = trace(network)
    found = residuals(graph)
    ready = _outputs(graph)
    order = {node: index for index, node in enumerate(graph.graph.nodes)}
    if found:
        stages = found[-1].stage + 1
        middle = (stages - 1) // 2
        ends = [order[r.node] for r in found if r.stage == middle]
        earliest = ends[-1] if stages > 1 else ends[(len(ends) - 1) // 2]
    else:
        weights = [order[n] for n in graph.graph.nodes if is_weight_layer(graph, n)]
        if not weights:
            raise ValueError(f"{type(network).__name__} has no layers")
        earliest = weights[(len(weights) - 1) // 2]
        active = (order[n] for n in graph.graph.nodes if is_activation(graph, n))
        earliest = next((index for index in active if index > earliest), earliest)
    # The first layer from there on that everything passes; of several, the outermost.
    passed = _passed_by_all(graph)
    reached = [n for n, node in ready.items() if order[node] >= earliest and node in passed]
    if not reached:
        raise ValueError(f"{type(network).__name__} has no layer with one value in its middle")
    return min(reached, key=lambda name: (order[ready[name]], name.count(".")))


def nodes_of(graph: fx.GraphModule, layer: str) -> list[fx.Node]:
    """Return the operations inside a layer, in order; it may have several values.

    Raises:
        ValueError: when there is no such layer (near names are listed).
    """
    around = modules_around(graph)
    inside = [node for node in graph.graph.nodes if layer in around[node]]
    if not inside:
        known = dict.fromkeys(name for names in around.values() for name in names)
        raise ValueError(_unknown(layer, list(known)))
    return inside


def _passed_by_all(graph: fx.GraphModule) -> set[fx.Node]:
    """Return the nodes that every path from the images to the outputs leads through."""
    nodes = list(graph.graph.nodes)
    order = {node: index for index, node in enumerate(nodes)}
    passed: set[fx.Node] = set()
    earliest = len(nodes)  # that any later node reads
    for node in reversed(nodes):
        if is_constant(node):
            continue
        if earliest >= order[node]:
            passed.add(node)
        values = [source for source in node.all_input_nodes if not is_constant(source)]
        earliest = min([earliest, *(order[n] for n in values)])
    return passed


def _outputs(graph: fx.GraphModule) -> dict[str, fx.Node]:
    """Return the node that is each layer's value; layers with several or none are left out.

    A layer that is called twice is named by its last call.
    """
    around = calls_around(graph)
    leaving: dict[Call, list[fx.Node]] = {}
    for node in graph.graph.nodes:
        if node.op in ("placeholder", "output", "get_attr"):
            continue
        for call in around[node]:
            if any(call not in around[reader] for reader in node.users):
                leaving.setdefault(call, []).append(node)
    last = {path: nodes for (_, path), nodes in leaving.items()}
    return {path: nodes[0] for path, nodes in last.items() if len(nodes) == 1}


def _find(graph: fx.GraphModule, layer: str) -> fx.Node:
    ready = _outputs(graph)
    if layer in ready:
        return ready[layer]
    raise ValueError(_unknown(layer, list(ready)))


def _unknown(layer: str, names: list[str]) -> str:
    return suggest(layer, names, "layer", _MOST_NAMES)


def _shapes(graph: fx.GraphModule, inputs: Tensor) -> dict[fx.Node, tuple[int, ...]]:
    shapes: dict[fx.Node, tuple[int, ...]] = {}

    class Recorder(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            value = super().run_node(n)
            if isinstance(value, Tensor):
                shapes[n] = tuple(value.shape[1:])
            return value

    with torch.no_grad():
        Recorder(graph).run(inputs)
    return shapes


def _recorded_kind(node: fx.Node, name: str) -> str:
    for path, kind in (node.meta.get("nn_module_stack") or {}).values():
        if path == name:
            return getattr(kind, "__name__", str(kind).rsplit(".", 1)[-1])
    return ""
