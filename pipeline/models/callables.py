"""Anything that can be called as a network: functions, lambdas, bound methods, partials."""

from __future__ import annotations

import dis
import functools
import inspect
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, MethodType

from torch import Tensor, nn

_DEPTH = 6


class Called(nn.Module):
    """A function from images (B, 3, H, W) to logits (B, C) or embeddings (B, D).

    It is called as it is: what it uses can be neither copied nor put into eval mode from outside.

    Attributes:
        function: the callable.
        used: the networks that it reaches through its closure, arguments, owner and globals.
    """

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        """Take a callable.

        Raises:
            ValueError: when a network that it uses is in training mode.
        """
        super().__init__()
        self.function = function
        # In a tuple, and so none of this module's own: nothing done to it reaches them.
        self.used = tuple(_networks(function))
        if training := [type(net).__name__ for net in self.used if net.training]:
            raise ValueError(
                f"{name_of(function)} calls {training[0]} in training mode, where every pass "
                "changes it: call .eval() on it first"
            )

    def __deepcopy__(self, memo: dict[int, object]) -> Called:
        return Called(self.function)

    def forward(self, images: Tensor) -> Tensor:
        """Return what the function returns."""
        return self.function(images)


def as_module(network: object) -> nn.Module:
    """Return a network as a module: itself, or a `Called`.

    Raises:
        TypeError: when it is nothing that could be called with images.
        ValueError: as `Called`.
    """
    if isinstance(network, nn.Module):
        return network
    wanted = (
        "a network is an nn.Module, a TorchScript module, or a function from images "
        "(B, 3, H, W) in [0, 1] to logits (B, C) or embeddings (B, D)"
    )
    if isinstance(network, type):
        raise TypeError(f"{wanted}; got the class {network.__name__}: make one, without its ()")
    if not callable(network):
        raise TypeError(f"{wanted}; got {type(network).__name__} {network!r:.80}")
    return Called(network)


def name_of(function: Callable[..., object]) -> str:
    """Return what a callable is called, for messages."""
    if isinstance(function, functools.partial):
        return f"partial({name_of(function.func)})"
    return getattr(function, "__qualname__", None) or type(function).__name__


def _networks(function: object) -> Iterator[nn.Module]:
    """Yield the networks that a callable reaches, outermost only, each once."""
    seen: set[int] = set()
    waiting: list[tuple[object, int]] = [(function, 0)]
    while waiting:
        value, depth = waiting.pop(0)
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, nn.Module):
            yield value
        elif depth < _DEPTH:
            waiting += [(part, depth + 1) for part in _parts(value)]


def _parts(value: object) -> list[object]:
    """Return what a callable, or a plain container in one, refers to."""
    if isinstance(value, functools.partial):
        return [value.func, *value.args, *value.keywords.values()]
    if isinstance(value, MethodType):
        return [value.__self__, value.__func__]
    if isinstance(value, FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or () if _filled(cell)]
        named = [value.__globals__.get(name) for name in _names(value.__code__)]
        wrapped = [inspect.unwrap(value)]
        return [*cells, *(value.__defaults__ or ()), *named, *wrapped]
    if isinstance(value, (list, tuple)):
        return list(value)
    if isinstance(value, dict):
        return list(value.values())
    if callable(value) and not isinstance(value, type):
        return list(getattr(value, "__dict__", {}).values())
    return []


def _names(code: CodeType) -> list[str]:
    """Return the global names that a function reads, those of functions inside it included."""
    own = [i.argval for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"]
    inner = [name for part in code.co_consts if isinstance(part, CodeType) for name in _names(part)]
    return own + inner


def _filled(cell: object) -> bool:
    try:
        cell.cell_contents  # type: ignore[attr-defined]  # noqa: B018
    except ValueError:  # a name that is bound later
        return False
    return True
