"""From a network to a graph of its operations that can be rewritten."""

from __future__ import annotations

import inspect
import linecache
import operator
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

from gauntlet.pipeline.models.callables import Called, name_of
from gauntlet.pipeline.models.frozen import frozen_copy
from gauntlet.pipeline.models.graph.operations import (
    function_name,
    is_constant,
    keeps_value,
    module_of,
)
from gauntlet.pipeline.models.outputs import Unanswered, answer

_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
_IN_PLACE: dict[Callable[..., Any], Callable[..., Any]] = {
    operator.iadd: operator.add,
    operator.isub: operator.sub,
    operator.imul: operator.mul,
    operator.itruediv: operator.truediv,
    operator.ipow: operator.pow,
}
# Operations whose result is memory of their input, or can be.
# fmt: off
_VIEWS = frozenset(
    {
        "view", "view_as", "reshape", "flatten", "unflatten", "transpose", "permute", "movedim",
        "squeeze", "unsqueeze", "expand", "narrow", "select", "getitem", "chunk", "split",
        "unbind", "detach", "contiguous", "t", "swapaxes",
    }
)
# fmt: on
_VIEW_LAYERS = (nn.Flatten, nn.Unflatten)
_SPLITS = frozenset({"chunk", "split", "unbind"})


def trace(network: nn.Module) -> fx.GraphModule:
    """Return the network as a graph: the same numbers, the same parameters, in eval mode.

    torch's own layers stay whole, and so do subclasses of them; every other module is traced
    through. Operations that overwrite their input are replaced by those that do not: a node's value
    stays what it was, whoever reads it later (specification, trap 14).

    Args:
        network: a bare network, or a graph (batch norm folded, or rewritten before). It is left as
            it is; the graph shares the parameters' memory and has its own buffers.

    Raises:
        ValueError: when the forward pass depends on values, or overwrites a view of what it reads
            later; it names the line or the operations at fault.
    """
    twin = frozen_copy(network)
    if (kind := _opaque(twin)) is not None:
        raise ValueError(
            f"{kind} cannot be rewritten: give the module that it was made from. Attacks without "
            "surgery and without named layers work"
        )
    if isinstance(twin, fx.GraphModule):
        graph = twin
    else:
        try:
            tracer = _Tracer(autowrap_functions=_opaque_functions())
            traced = tracer.trace(twin, concrete_args=_options(twin))
            graph = fx.GraphModule(twin, traced, class_name=type(network).__name__)
        except Exception as error:
            raise ValueError(_fault(network, error)) from error
        _keep_answer(graph, type(network).__name__)
    _open_sequences(graph)
    _keep_inputs(graph)
    return finish(graph)


def _opaque(network: nn.Module) -> str | None:
    """Return what a network is, if it has no Python code of a module to be traced."""
    if isinstance(network, Called):
        return f"{name_of(network.function)}, a function,"
    scripted = any(isinstance(part, torch.jit.ScriptModule) for part in network.modules())
    return f"{type(network).__name__}, compiled to TorchScript," if scripted else None


def finish(graph: fx.GraphModule) -> fx.GraphModule:
    """Return the graph after an edit: checked, without what nothing reads, frozen, in eval mode."""
    graph.graph.eliminate_dead_code(_is_impure)
    graph.delete_all_unused_submodules()
    graph.graph.lint()
    graph.recompile()
    graph.requires_grad_(False)
    return graph.eval()


def _is_impure(node: fx.Node) -> bool:
    # Assertions and assignments to a slice have no reader; a layer in eval mode only has its value.
    if node.op in ("placeholder", "output"):
        return True
    return node.op == "call_function" and node.target in (torch._assert, operator.setitem)


class _Tracer(fx.Tracer):
    """Keeps torch's layers and their subclasses whole, except those that hold other layers."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Return whether a module is one node of the graph."""
        if isinstance(m, _CONTAINERS):
            return False
        from_torch = any(
            kind.__module__.startswith("torch.nn.") and kind is not nn.Module
            for kind in type(m).__mro__
        )
        if from_torch and not type(m).__module__.startswith("torch.nn."):
            # timm's batch norms with an activation inside: the activation is a node of its own.
            return not any(True for _ in m.children())
        return type(m) in _opaque_modules() or super().is_leaf_module(m, module_qualified_name)


def _options(network: nn.Module) -> dict[str, Any]:
    """Return the forward pass's optional arguments, which keep their defaults."""
    return {
        name: parameter.default
        for name, parameter in list(inspect.signature(network.forward).parameters.items())[1:]
        if parameter.default is None or isinstance(parameter.default, bool)
    }


def _opaque_modules() -> Iterable[type[nn.Module]]:
    """Return the modules that timm says cannot be traced through."""
    from timm.layers import get_notrace_modules

    modules: list[type[nn.Module]] = get_notrace_modules()
    return modules


def _opaque_functions() -> tuple[Callable[..., Any], ...]:
    from timm.layers import get_notrace_functions

    return tuple(get_notrace_functions())


def _keep_answer(graph: fx.GraphModule, name: str) -> None:
    """Let the graph return the network's answer alone."""
    (output,) = (node for node in graph.graph.nodes if node.op == "output")
    returned = output.args[0]
    made = getattr(returned, "target", None)
    if isinstance(made, type) and issubclass(made, tuple):
        returned = made(*returned.args)  # a named tuple is a node of its own
    try:
        output.args = (answer(returned),)
    except Unanswered as error:
        raise ValueError(f"{name} cannot be rewritten: {error}") from None


def _open_sequences(graph: fx.GraphModule) -> None:
    """Replace a call of a whole `Sequential` (left by folding) by calls of its members."""
    for node in list(graph.graph.nodes):
        module = module_of(graph, node)
        if not isinstance(module, nn.Sequential):
            continue
        value = node.args[0]
        with graph.graph.inserting_before(node):
            for name, _ in module.named_children():
                target = f"{node.target}.{name}"
                value = graph.graph.call_module(target, (value,))
                value.meta = _inside(node, target, type(module.get_submodule(name)))
        node.replace_all_uses_with(value)
        graph.graph.erase_node(node)


def _inside(node: fx.Node, path: str, kind: type) -> dict[str, Any]:
    stack = node.meta.get("nn_module_stack")
    if not stack:
        return dict(node.meta)
    return {**node.meta, "nn_module_stack": {**stack, path: (path, kind)}}


def _keep_inputs(graph: fx.GraphModule) -> None:
    """Let no operation overwrite its input, and let later readers have what they had."""
    nodes = list(graph.graph.nodes)
    order = {node: index for index, node in enumerate(nodes)}
    # One module may be called more than once: find all calls before the first is changed.
    overwriting = [
        node for node in nodes if getattr(module_of(graph, node), "inplace", False) is True
    ]
    for node in overwriting:
        module_of(graph, node).inplace = False  # type: ignore[union-attr]
    overwriting += [node for node in nodes if node.op != "call_module" and _make_pure(node)]
    for node in overwriting:
        overwritten = node.args[0]
        if isinstance(overwritten, fx.Node):
            _refuse_shared(graph, overwritten, node, order)
            for reader in list(overwritten.users):
                if order[reader] > order[node]:
                    reader.replace_input_with(overwritten, node)


def _refuse_shared(
    graph: fx.GraphModule, overwritten: fx.Node, node: fx.Node, order: dict[fx.Node, int]
) -> None:
    """Refuse an overwritten view if what it is a view of, or another view, is read later."""
    view = overwritten
    while _is_view(graph, view) and isinstance(base := view.args[0], fx.Node):
        for other in base.users:
            parts = function_name(base) in _SPLITS and other.args[1:] != view.args[1:]
            if other in (view, node) or parts or is_constant(other):
                continue
            readers = [other, *other.users] if _is_view(graph, other) else [other]
            if any(order[reader] > order[node] for reader in readers):
                raise ValueError(
                    f"{node.name!r} overwrites {overwritten.name!r}, which shares its memory with "
                    f"{base.name!r}, and {other.name!r} reads that: leave out its `inplace`"
                )
        view = base


def _is_view(graph: fx.GraphModule, node: fx.Node) -> bool:
    layer = isinstance(module_of(graph, node), _VIEW_LAYERS)
    return layer or function_name(node) in _VIEWS or keeps_value(graph, node)


def _make_pure(node: fx.Node) -> bool:
    """Make a function leave its input alone; return whether it did not do so before."""
    if node.op == "call_function" and (function := _pure_function(node.target)) is not None:
        node.target = function
        return True
    if node.op == "call_method":
        name = str(node.target)
        pure = name.removesuffix("_")
        if pure != name and not name.endswith("__") and hasattr(Tensor, pure):
            node.target = pure
            return True
    return node.op == "call_function" and _drop_flag(node)


def _pure_function(target: Any) -> Callable[..., Any] | None:
    """Return the function that leaves its input alone, for one of torch's that does not."""
    if target in _IN_PLACE:
        return _IN_PLACE[target]
    name = getattr(target, "__name__", "")
    if not name.endswith("_") or name.endswith("__"):
        return None
    found = getattr(nn.functional, name[:-1], None) or getattr(torch, name[:-1], None)
    return found if callable(found) else None


def _drop_flag(node: fx.Node) -> bool:
    if node.kwargs.get("inplace") is True:
        node.kwargs = {**node.kwargs, "inplace": False}
        return True
    try:
        names = list(inspect.signature(node.target).parameters)  # type: ignore[arg-type]
    except (TypeError, ValueError):  # functions that are not written in Python
        return False
    place = names.index("inplace") if "inplace" in names else len(node.args)
    if place < len(node.args) and node.args[place] is True:
        node.update_arg(place, False)
        return True
    return False


def _fault(network: nn.Module, error: Exception) -> str:
    """Return which line of which file cannot be traced, and what works all the same."""
    inner = tuple(str(Path(inspect.getfile(part)).parent) for part in (fx, nn.modules))
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if not f.filename.startswith(inner) and f.filename != __file__]
    where = ""
    if own:
        frame = own[-1]
        code = linecache.getline(frame.filename, frame.lineno or 0).strip()
        where = f" at {frame.filename}:{frame.lineno} ({code})"
    reason = str(error).strip().split("\n")[0]
    return (
        f"{type(network).__name__} cannot be rewritten: its forward pass cannot be traced{where}: "
        f"{reason}. Attacks without surgery and without named layers work"
    )
