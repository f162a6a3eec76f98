"""Batch norm folded into the convolution before it: the same function, sooner answered."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Generic, NamedTuple, TypeVar, overload

import torch
from torch import Tensor, fx, nn
from torch.nn.utils import fusion

from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.models.callables import Called
from gauntlet.pipeline.models.frozen import frozen_copy
from gauntlet.pipeline.models.mean import MeanLogits
from gauntlet.pipeline.models.model import Model
from gauntlet.pipeline.models.precision import weight_of

M = TypeVar("M", bound=nn.Module)

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_HALVES = frozenset({torch.float16, torch.bfloat16})
_TOLERANCE = 1e-4


class Folded(NamedTuple, Generic[M]):
    """A copy of a model, and whether batch norm was folded in it.

    Attributes:
        model: the copy; of the original's weights when nothing was folded.
        folded: for the manifest.
    """

    model: M
    folded: bool


@overload
def fold_batch_norm(model: Model, *, probe: Tensor | None = None) -> Folded[Model]: ...
@overload
def fold_batch_norm(model: nn.Module, *, probe: Tensor | None = None) -> Folded[nn.Module]: ...
def fold_batch_norm(
    model: nn.Module, *, probe: Tensor | None = None
) -> Folded[Model] | Folded[nn.Module]:
    """Return a frozen copy with batch norm folded, weights in channels-last order if not float64.

    Any network that torch.fx can trace is folded where a convolution or linear layer feeds one
    batch norm only. The copy is unfolded when the network cannot be traced, has nothing to fold or
    hooks that tracing would lose, or when the folded outputs differ by more than 1e-4 on a probe.
    A network in half precision is folded, and compared, in float32.

    Args:
        model: a `Model`, of which the network is folded, or a bare network; never changed.
        probe: input to compare the outputs on, (B, 3, H, W); of the network's own kind if that is
            bare. Two random images of the model's input size by default, 64 x 64 if it takes any.
    """
    if isinstance(model, Model) and isinstance(model.network, MeanLogits):
        members = [fold_batch_norm(member) for member in model.network.members]
        mean = MeanLogits([member.model for member in members])
        every = all(member.folded for member in members)
        return Folded(frozen_copy(model, replace={model.network: mean}), every)
    if isinstance(model, Model):
        with torch.no_grad():
            images = _random(model.input_size, model.mean) if probe is None else probe
            inputs = (model.preprocessing.fit(images) - model.mean) / model.std
        network = _fold(model.network, inputs)
        if network is None:
            return Folded(frozen_copy(model), False)
        return Folded(frozen_copy(model, replace={model.network: network}), True)
    like = weight_of(model)
    bare = _random(None, torch.zeros(()) if like is None else like) if probe is None else probe
    folded = _fold(model, bare)
    if folded is None:
        return Folded(frozen_copy(model), False)
    return Folded(folded, True)


class _Tracer(fx.Tracer):
    """Keeps convolutions, linear layers and batch norms whole, subclasses from elsewhere too."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Return whether a module is one node of the graph."""
        return isinstance(m, (*_CONVOLUTIONS, *_NORMS, nn.Linear)) or super().is_leaf_module(
            m, module_qualified_name
        )


def _fold(network: nn.Module, probe: Tensor) -> nn.Module | None:
    """Return the folded copy of a bare network, or None."""
    if _untraceable(network) or not any(isinstance(part, _NORMS) for part in network.modules()):
        return None
    types = {v.dtype for v in network.state_dict().values() if v.is_floating_point()}
    half = next(iter(types)) if len(types) == 1 and types <= _HALVES else None
    try:
        twin = frozen_copy(network)
        if half is not None:
            twin = copy.deepcopy(twin).float()
            probe = probe.float()
        graph = _Tracer().trace(twin)
        folded = fx.GraphModule(twin, graph, class_name=type(network).__name__)
        if not _fuse_pairs(folded):
            return None
        folded.delete_all_unused_submodules()
        folded.recompile()
        folded.requires_grad_(False).eval()
        # In float64 a CPU's depthwise convolutions are 25 times slower in channels-last order.
        if probe.dtype != torch.float64:
            folded.to(memory_format=torch.channels_last)
        with torch.no_grad():
            expected, result = twin(probe), folded(probe)
    except Exception:
        # Somebody's forward runs here, on proxies that it was not written for, and may raise
        # anything. Folding only saves time: the plain network still works.
        return None
    scale = float(expected.abs().max())
    agrees = torch.allclose(result, expected, rtol=_TOLERANCE, atol=_TOLERANCE * scale)
    return folded.to(dtype=half) if agrees else None


def _untraceable(network: nn.Module) -> bool:
    """Return whether tracing would fail, or run or lose somebody's own code, without a word."""
    if isinstance(network, Called):
        return True
    return any(
        isinstance(part, torch.jit.ScriptModule)
        or any(getattr(part, name, None) for name in _HOOKS)
        for part in network.modules()
    )


def _fuse_pairs(traced: fx.GraphModule) -> int:
    """Fuse every pair of a convolution (or linear layer) and its only user, a batch norm."""
    modules = dict(traced.named_modules(remove_duplicate=False))
    calls = Counter(
        id(modules[str(node.target)]) for node in traced.graph.nodes if node.op == "call_module"
    )
    pairs = 0
    for node in list(traced.graph.nodes):
        if node.op != "call_module" or not isinstance(modules[str(node.target)], _NORMS):
            continue
        before = node.args[0] if node.args else None
        if not isinstance(before, fx.Node) or before.op != "call_module" or len(before.users) != 1:
            continue
        layer, norm = modules[str(before.target)], modules[str(node.target)]
        # A layer that is called twice may have its batch norm after one call only.
        if calls[id(layer)] != 1 or calls[id(norm)] != 1:
            continue
        fused, rest = _fuse(layer, norm), _activation(norm)
        if fused is None or rest is None:
            continue
        traced.set_submodule(str(before.target), fused)
        if isinstance(rest, nn.Identity):
            node.replace_all_uses_with(before)
            traced.graph.erase_node(node)
        else:
            traced.set_submodule(str(node.target), rest)
        pairs += 1
    return pairs


def _fuse(layer: nn.Module, norm: nn.Module) -> nn.Module | None:
    """Return a new layer that does both, or None for kinds that cannot be fused."""
    if getattr(norm, "running_mean", None) is None:
        return None
    # Subclasses may change the weights on their way to the convolution; this one only pads.
    plain = type(layer) in _CONVOLUTIONS or type(layer).__name__ == "Conv2dSame"
    fuse_weights = fusion.fuse_conv_bn_weights if plain else fusion.fuse_linear_bn_weights
    if not plain and type(layer) is not nn.Linear:
        return None
    fused = copy.deepcopy(layer)
    fused.weight, fused.bias = fuse_weights(
        layer.weight,  # type: ignore[arg-type]
        layer.bias,  # type: ignore[arg-type]
        norm.running_mean,  # type: ignore[arg-type]
        norm.running_var,  # type: ignore[arg-type]
        norm.eps,  # type: ignore[arg-type]
        norm.weight,  # type: ignore[arg-type]
        norm.bias,  # type: ignore[arg-type]
    )
    return fused


def _activation(norm: nn.Module) -> nn.Module | None:
    """Return what is left of a batch norm once its arithmetic has gone into the layer before it."""
    if type(norm) in _NORMS:
        return nn.Identity()
    if type(norm).__name__ == "BatchNormAct2d":  # timm: batch norm, dropout and activation in one
        return nn.Sequential(norm.drop, norm.act)  # type: ignore[arg-type]
    return None


def _random(size: tuple[int, int] | None, like: Tensor) -> Tensor:
    height, width = size or (64, 64)
    images = Draws.keyed(0, ["a", "b"]).uniform("fold/probe", (3, height, width))
    return images.to(like.device, like.dtype)
