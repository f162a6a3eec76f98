"""What single operations of a graph are: activations, additions, layers with weights."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import fx, nn
from torch.nn.modules import activation

F = TypeVar("F", bound=Callable[..., Any])

_NOT_ACTIVATIONS = (nn.MultiheadAttention,)
# fmt: off
_ACTIVATION_NAMES = frozenset(
    {
        "relu", "relu6", "leaky_relu", "prelu", "rrelu", "elu", "selu", "celu", "gelu", "silu",
        "mish", "softplus", "softsign", "sigmoid", "logsigmoid", "hardsigmoid", "hardswish",
        "hardtanh", "hard_sigmoid", "hard_swish", "hard_mish", "tanh", "tanhshrink", "softmax",
        "log_softmax", "softmin", "threshold", "glu", "scaled_dot_product_attention",
        "quick_gelu",
    }
)
# fmt: on
_WEIGHT_LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear, nn.ConvTranspose2d)
_WEIGHT_FUNCTIONS = frozenset({"conv1d", "conv2d", "conv3d", "linear", "conv_transpose2d"})
_POOLING = frozenset(
    {
        "max_pool2d",
        "avg_pool2d",
        "adaptive_avg_pool2d",
        "adaptive_max_pool2d",
        "interpolate",
        "mean",
    }
)
_ADDITIONS = (operator.add, operator.iadd, torch.add)
_SHAPE_METHODS = frozenset({"size", "dim", "numel", "new_zeros", "new_ones"})
_transparent: set[Any] = set()
_nonlinear: set[Any] = set()


def transparent(function: F) -> F:
    """Mark a function of surgeries that leaves a value in its place, up to a factor (decorator).

    A residual sum whose skip goes through such nodes only still has an identity skip.
    """
    _transparent.add(function)
    return function


def nonlinear(function: F) -> F:
    """Mark a function of surgeries that stands for an activation (decorator)."""
    _nonlinear.add(function)
    return function


def module_of(graph: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    """Return the module that a node calls, or None."""
    return graph.get_submodule(str(node.target)) if node.op == "call_module" else None


def function_name(node: fx.Node) -> str:
    """Return the bare name of a called function or method, without an in-place underscore."""
    if node.op == "call_function":
        return str(getattr(node.target, "__name__", "")).removesuffix("_")
    return str(node.target).removesuffix("_") if node.op == "call_method" else ""


def activation_name(graph: fx.GraphModule, node: fx.Node) -> str | None:
    """Return the name of a nonlinear activation (``ReLU``, ``gelu``), None for anything else."""
    module = module_of(graph, node)
    if module is not None:
        by_torch = isinstance(module, nn.Module) and any(
            kind.__module__ == activation.__name__ for kind in type(module).__mro__
        )
        known = type(module).__name__.lower() in _ACTIVATION_NAMES
        wanted = (by_torch or known) and not isinstance(module, _NOT_ACTIVATIONS)
        return type(module).__name__ if wanted else None
    name = function_name(node)
    marked = node.op == "call_function" and node.target in _nonlinear
    return name if marked or name in _ACTIVATION_NAMES else None


def is_activation(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Return whether a node is a nonlinear activation, softmax included."""
    return activation_name(graph, node) is not None


def is_weight_layer(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Return whether a node is a convolution or a linear layer."""
    module = module_of(graph, node)
    if module is not None:
        return isinstance(module, _WEIGHT_LAYERS)
    return node.op == "call_function" and function_name(node) in _WEIGHT_FUNCTIONS


def has_parameters(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Return whether a node uses learned numbers."""
    module = module_of(graph, node)
    if module is not None:
        return any(True for _ in module.parameters())
    return any(source.op == "get_attr" for source in node.all_input_nodes)


def changes_map(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Return whether a node mixes positions or channels: weights, pooling, concatenation."""
    module = module_of(graph, node)
    if module is not None and "Pool" in type(module).__name__:
        return True
    name = function_name(node)
    return is_weight_layer(graph, node) or name in _POOLING or name in ("cat", "concat")


def is_addition(node: fx.Node) -> bool:
    """Return whether a node adds two computed values."""
    adds = (node.op == "call_function" and node.target in _ADDITIONS) or (
        node.op == "call_method" and str(node.target) in ("add", "add_", "__add__", "__iadd__")
    )
    return adds and len(node.args) >= 2 and all(isinstance(arg, fx.Node) for arg in node.args[:2])


def is_shape(node: fx.Node) -> bool:
    """Return whether a node reads a tensor's shape, not its values."""
    if node.op == "call_function" and node.target is getattr:
        return True
    return node.op == "call_method" and str(node.target) in _SHAPE_METHODS


def is_constant(node: fx.Node) -> bool:
    """Return whether a node's value is no function of the images: a weight, a shape, an option."""
    option = node.op == "placeholder" and bool(node.args)
    return option or node.op == "get_attr" or is_shape(node)


def keeps_value(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Return whether a node gives what it gets: identity, dropout in eval mode, surgery's marks."""
    if node.op == "call_function":
        return node.target in _transparent or node.target is nn.functional.dropout
    module = module_of(graph, node)
    return isinstance(module, nn.Identity) or (
        module is not None and type(module).__name__ in ("Dropout", "Dropout2d", "DropPath")
    )
