"""Small edits of a graph, which keep the record of what belongs to which module."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from torch import fx


def follow(
    graph: fx.GraphModule,
    node: fx.Node,
    function: Callable[..., Any],
    *args: object,
    readers: Iterable[fx.Node] | None = None,
) -> fx.Node:
    """Put ``function(node, *args)`` in the place of a node, and return the new node.

    Args:
        graph: edited in place.
        node: whose value is changed.
        function: an importable function, so that the graph can be copied and pickled.
        args: its other arguments.
        readers: which readers get the new value; all by default.
    """
    chosen = list(node.users if readers is None else readers)
    with graph.graph.inserting_after(node):
        new = graph.graph.call_function(function, (node, *args))  # type: ignore[arg-type]
    # What only some readers see is theirs: the layer that the node belongs to keeps one value.
    belongs_with(new, *([node] if readers is None else chosen or [node]))
    for reader in chosen:
        reader.replace_input_with(node, new)
    return new


def belongs_with(node: fx.Node, *others: fx.Node) -> None:
    """Make a node belong to the modules that all the others belong to."""
    stacks = [other.meta.get("nn_module_stack") or {} for other in others]
    common = {
        key: value for key, value in stacks[0].items() if all(key in stack for stack in stacks)
    }
    node.meta.pop("nn_module_stack", None)
    if common:
        node.meta["nn_module_stack"] = common


def duplicate(
    graph: fx.GraphModule, nodes: Sequence[fx.Node], before: fx.Node, given: dict[fx.Node, fx.Node]
) -> dict[fx.Node, fx.Node]:
    """Compute some nodes a second time, and return the copy of each.

    Args:
        graph: edited in place; layers are called twice, their parameters are shared.
        nodes: in order.
        before: where the copies are put.
        given: what copies read in place of other nodes.
    """
    copies = dict(given)
    with graph.graph.inserting_before(before):
        for node in nodes:
            copies[node] = graph.graph.node_copy(node, lambda source: copies.get(source, source))
            copies[node].meta = dict(node.meta)
    return {node: copies[node] for node in nodes}
