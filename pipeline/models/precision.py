"""A network in its own floating point type, between images and outputs that are at least float32.

Small gradients underflow in float16 (its least number is 6e-8), and a step of 1/255 is below the
spacing of bfloat16: in half precision an attack is silently weak. So only what lies between a
network's input and its outputs is in the network's type, and everything else in the images'.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn

from gauntlet.pipeline.models.callables import Called

_TYPES = frozenset({torch.float64, torch.float32, torch.float16, torch.bfloat16})
_DEVICES = ("cuda", "cpu")

_HALF_WORDS = ("Half", "BFloat16", "Low precision")
"""What torch's messages about operations that a device lacks in half precision have in common."""
_GAIN = 10
"""log2 of the largest derivative by a row's outputs that goes into a float16 network."""
_FAINT = -10
"""log2 of a row's largest gradient below which most of its entries have underflown."""
_APART = 12
"""log2 of the factor between the scales of two tries."""
_TRIES = 3

# The types of the autocast contexts that networks are called in, by kind of device.
_autocast: ContextVar[tuple[tuple[str, torch.dtype], ...]] = ContextVar("autocast", default=())


def weight_of(network: nn.Module) -> Tensor | None:
    """Return a network's first floating point parameter (or buffer), or None if it has none.

    Its type is the one that the network takes, and its device the one that it is on.
    """
    owners = network.used if isinstance(network, Called) else (network,)
    for tensors in (nn.Module.parameters, nn.Module.buffers):
        for owner in owners:
            for value in tensors(owner):
                if value.dtype in _TYPES:
                    return value
    return None


def _whole(outputs: Any) -> Any:
    return outputs


def through(network: nn.Module, inputs: Tensor, pick: Callable[[Any], Any] = _whole) -> Any:
    """Return a network's outputs, in the wider of the inputs' and its own type.

    The network gets its inputs in its own type and on its own device; whatever is differentiated
    stays in the inputs'. Each row of a float16 network goes back at a scale of its own.

    Args:
        network: takes (B, 3, H, W); returns (B, C), or a tuple of such.
        inputs: as the network wants them, but for type and device.
        pick: chooses among the outputs; all of them by default.

    Raises:
        ValueError: when the device cannot compute in the network's type, or a float16 network is
            differentiated twice.
    """
    like = weight_of(network)
    if like is None or (inputs.dtype is like.dtype and inputs.device == like.device):
        own = inputs
    else:
        own = inputs.to(like.device, like.dtype)
    lowered = torch.float16 in (own.dtype, dict(_autocast.get()).get(own.device.type))
    try:
        if lowered and inputs.requires_grad and torch.is_grad_enabled():
            outputs = _Scaled.apply(inputs, network, own.detach(), pick)
        else:
            outputs = pick(_called(network, own))
    except RuntimeError as error:
        if not any(word in str(error) for word in _HALF_WORDS):
            raise
        kind = str(own.dtype).removeprefix("torch.")
        raise ValueError(
            f"{type(network).__name__} cannot take {kind} images on {own.device.type} ({error}): "
            "convert all of it to float32, or use a device that can"
        ) from error
    if isinstance(outputs, tuple):
        return tuple(_widened(output, inputs) for output in outputs)
    return _widened(outputs, inputs)


@contextmanager
def autocast_for_networks_only() -> Iterator[None]:
    """Leave the autocast contexts around; `through` returns to them for the network alone.

    They would lower filters, combination rules and steps to half precision, too.
    """
    found = tuple(
        (kind, torch.get_autocast_dtype(kind))
        for kind in _DEVICES
        if torch.is_autocast_enabled(kind)
    )
    token = _autocast.set(found)
    try:
        with ExitStack() as left:
            for kind, _ in found:
                left.enter_context(torch.autocast(kind, enabled=False))
            yield
    finally:
        _autocast.reset(token)


def _called(network: nn.Module, inputs: Tensor) -> Any:
    with ExitStack() as entered:
        for kind, dtype in _autocast.get():
            entered.enter_context(torch.autocast(kind, dtype))
        return network(inputs)


def _widened(output: Any, inputs: Tensor) -> Any:
    if not isinstance(output, Tensor):
        return output
    return output.to(inputs.device, torch.promote_types(output.dtype, inputs.dtype))


class _Scaled(torch.autograd.Function):
    """A float16 network between wider tensors: what goes back neither underflows nor overflows.

    In eval mode rows do not depend on each other, so that each can go back at its own power of two,
    by which its gradient is divided again in float32. A row that overflows at its scale, or fades,
    goes back again at a lower, or higher, one.
    """

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, network: nn.Module, own: Tensor, pick: Callable[[Any], Any]
    ) -> Any:
        with torch.enable_grad():
            leaf = own.requires_grad_()
            outputs = pick(_called(network, leaf))
        several = outputs if isinstance(outputs, tuple) else (outputs,)
        ctx.like, ctx.inner = inputs, (leaf, several)
        wide = tuple(_widened(o.detach() if isinstance(o, Tensor) else o, inputs) for o in several)
        hidden = [w for w, o in zip(wide, several, strict=True) if not getattr(o, "grad_fn", None)]
        ctx.mark_non_differentiable(*(w for w in hidden if isinstance(w, Tensor)))
        return wide if isinstance(outputs, tuple) else wide[0]

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor, None, None, None]:
        if torch.is_grad_enabled():
            raise ValueError(
                "a float16 network is not differentiated twice, which this penalty or measurement "
                "needs: second derivatives would underflow; use bfloat16 or float32"
            )
        leaf, several = ctx.inner
        ctx.inner = None  # the network's own graph is large: it ends with its use
        reached = [(o, c) for o, c in zip(several, cotangents, strict=True) if o.requires_grad]
        outputs = [output for output, _ in reached]
        pairs = [(o, c.float()) for o, c in reached]
        peaks = torch.stack([c.flatten(1).abs().amax(1) for _, c in pairs]).amax(0)
        gradient = torch.full_like(ctx.like, torch.nan)
        gradient[peaks == 0] = 0
        shift = _GAIN - peaks.frexp().exponent
        waiting = peaks.isfinite() & (peaks > 0)
        overflown = torch.zeros_like(waiting)
        for _ in range(_TRIES):
            scale = shift.clamp(-126, 126).exp2()
            sent = [_times(c, scale).to(o) for o, c in pairs]
            with torch.enable_grad():
                (part,) = torch.autograd.grad(outputs, leaf, sent, retain_graph=True)
            part = part.to(ctx.like)
            peak = part.flatten(1).abs().amax(1)
            finite = peak.isfinite()
            found = waiting & finite
            gradient[found] = _times(part, 1 / scale)[found]
            faint = found & (peak < 2.0**_FAINT) & ~overflown
            overflown |= waiting & ~finite
            # A row that was found at a lower scale already stays as it was found there.
            waiting = faint | (waiting & ~finite & gradient.flatten(1).isnan().any(1))
            if not bool(waiting.any()):
                break
            shift = shift + torch.where(faint, _APART, -_APART)
        return gradient, None, None, None


def _times(values: Tensor, factors: Tensor) -> Tensor:
    """Return each row times its own factor."""
    return (values.flatten(1) * factors[:, None]).reshape(values.shape)
