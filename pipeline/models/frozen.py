"""Copies of a module that cannot disturb the original (trap 13)."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)


@torch.inference_mode(False)
@torch.no_grad()
def frozen_copy(module: M, *, replace: dict[nn.Module, nn.Module] | None = None) -> M:
    """Return a copy in eval mode whose parameters need no gradient.

    Parameters share their memory with the original's, which costs nothing and is safe because
    nothing here writes to them. Buffers are copied: a module may write to them while it runs.
    Wrappers that spread or compile a module are left out: the copy is of what they wrap.

    Args:
        module: left exactly as it is: mode, ``requires_grad``, ``.grad`` and buffers.
        replace: submodules to be exchanged in the copy.

    Raises:
        TypeError: when it holds something that cannot be copied.
    """
    memo: dict[int, object] = {id(old): new for old, new in (replace or {}).items()}
    parts = list(module.modules())
    for part in parts:
        for parameter in part.parameters(recurse=False):
            memo[id(parameter)] = nn.Parameter(_plain(parameter), requires_grad=False)
        # Plain tensor attributes too: deepcopy refuses those that are part of a graph.
        for value in (*part.buffers(recurse=False), *vars(part).values()):
            if isinstance(value, Tensor) and id(value) not in memo:
                memo[id(value)] = value.detach().clone()
    try:
        # The innermost come last in `modules`, and are in the memo when those around them follow.
        for part in reversed(parts):
            if id(part) not in memo and (wrapped := _wrapped(part)) is not None:
                memo[id(part)] = copy.deepcopy(wrapped, memo)
        twin = copy.deepcopy(module, memo)
    except (TypeError, RuntimeError) as error:
        raise TypeError(
            f"{type(module).__name__} cannot be copied, and the original must stay as it is: "
            f"{error}"
        ) from error
    # One by one, since TorchScript modules do not take the call for all.
    for parameter in twin.parameters():
        parameter.requires_grad_(False)
    return twin.eval()


def _plain(parameter: Tensor) -> Tensor:
    """Return the parameter's values; a copy if autograd refuses them (made in inference mode)."""
    return parameter.detach().clone() if parameter.is_inference() else parameter.detach()


def _wrapped(module: nn.Module) -> nn.Module | None:
    """Return what `DataParallel`, `DistributedDataParallel` or `torch.compile` has wrapped."""
    if isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
        inside: nn.Module = module.module
        return inside
    # By name: torch.compile's class comes with an import of seconds.
    return module._modules.get("_orig_mod") if type(module).__name__ == "OptimizedModule" else None
