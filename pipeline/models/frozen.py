"""Copies of a module that cannot disturb the original (trap 13)."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)


def frozen_copy(module: M, *, replace: dict[nn.Module, nn.Module] | None = None) -> M:
    """Return a copy in eval mode whose parameters need no gradient.

    Parameters share their memory with the original's, which costs nothing and is safe because
    nothing here writes to them. Buffers are copied: a module may write to them while it runs.

    Args:
        module: left exactly as it is: mode, ``requires_grad``, ``.grad`` and buffers.
        replace: submodules to be exchanged in the copy.
    """
    memo: dict[int, object] = {id(old): new for old, new in (replace or {}).items()}
    for part in module.modules():
        for parameter in part.parameters(recurse=False):
            memo[id(parameter)] = nn.Parameter(parameter.detach(), requires_grad=False)
        # Plain tensor attributes too: deepcopy refuses those that are part of a graph.
        for value in (*part.buffers(recurse=False), *vars(part).values()):
            if isinstance(value, Tensor) and id(value) not in memo:
                memo[id(value)] = value.detach().clone()
    twin = copy.deepcopy(module, memo)
    twin.requires_grad_(False)
    return twin.eval()
