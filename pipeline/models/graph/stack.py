"""Which modules an operation of a graph belongs to."""

from __future__ import annotations

from itertools import takewhile

from torch import fx

Call = tuple[str, str]
"""One call of a module: a key of its own, and the module's path."""


def modules_around(graph: fx.GraphModule) -> dict[fx.Node, tuple[str, ...]]:
    """Return the path of every module that contains a node, outermost first."""
    return {node: tuple(path for _, path in calls) for node, calls in calls_around(graph).items()}


def calls_around(graph: fx.GraphModule) -> dict[fx.Node, tuple[Call, ...]]:
    """Return every call of a module that a node happens in, outermost first.

    Tracing records them. A graph that was pickled has lost the record of all modules that hold
    others; there a function belongs to the modules that the layers called before and after it have
    in common.
    """
    nodes = list(graph.graph.nodes)
    recorded = {node: _recorded(node) for node in nodes}
    if any(len({path for _, path in calls}) > 1 for calls in recorded.values()):
        return recorded
    before: dict[fx.Node, tuple[str, ...]] = {}
    after: dict[fx.Node, tuple[str, ...]] = {}
    for found, ordered in ((before, nodes), (after, list(reversed(nodes)))):
        last: tuple[str, ...] = ()
        for node in ordered:
            if node.op == "call_module":
                last = _prefixes(str(node.target))
            found[node] = last
    return {
        node: tuple(
            (f"{path} in {node.name}" if path == node.target else path, path)
            for path, _ in takewhile(_same, zip(before[node], after[node], strict=False))
        )
        for node in nodes
    }


def _recorded(node: fx.Node) -> tuple[Call, ...]:
    stack = node.meta.get("nn_module_stack") or {}
    return tuple((str(key), str(path)) for key, (path, _) in stack.items() if path)


def _prefixes(path: str) -> tuple[str, ...]:
    words = path.split(".")
    return tuple(".".join(words[: count + 1]) for count in range(len(words)))


def _same(pair: tuple[str, str]) -> bool:
    return pair[0] == pair[1]
