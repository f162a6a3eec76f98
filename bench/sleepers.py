"""Networks whose work is done elsewhere: what an engine around them costs is then all that is seen.

A call waits for a simulated device, with the core released, and answers with fixed logits and a
fixed gradient.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import torch
from torch import Tensor, nn

CLASSES = 10
"""Logits of every network."""


class Device:
    """A simulated device, which takes one batch after another as a GPU's stream does.

    The next batch begins when the one before it is done, not when somebody has noticed that it is.
    """

    def __init__(self) -> None:
        self._free_at = 0.0
        self._lock = threading.Lock()

    def work(self, seconds: float) -> None:
        """Wait until a batch that takes so long is done."""
        with self._lock:
            done = self._free_at = max(self._free_at, time.monotonic()) + seconds
        time.sleep(max(0.0, done - time.monotonic()))


_DEVICE = Device()
"""The device of this process; networks in one process share it."""


class Sleeper(nn.Module):
    """A network of fixed answers, which takes its time.

    Attributes:
        seconds: of device time a batch, whatever its size, backward pass included.
        seed: keys the logits and the gradient.
    """

    def __init__(self, seconds: float, seed: int) -> None:
        super().__init__()
        self.seconds, self.seed = seconds, seed
        self._answer: tuple[Tensor, Tensor] | None = None

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, 10), whose derivative by the images is fixed, too."""
        if self._answer is None or self._answer[1].shape != images.shape:
            with torch.inference_mode(False):  # a look at the models may be the first to ask
                self._answer = self._answered(images)
        outputs: Tensor = _Elsewhere.apply(images, *self._answer, self.seconds)
        return outputs

    def _answered(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and gradient: the same for each row, in whatever batch."""
        random = torch.Generator().manual_seed(self.seed)
        logits = torch.randn(1, CLASSES, generator=random).expand(len(images), -1)
        gradient = torch.randn(1, *images.shape[1:], generator=random).expand(images.shape)
        return logits.to(images).contiguous(), gradient.to(images).contiguous()


class _Elsewhere(torch.autograd.Function):
    """Fixed outputs, fixed gradient; all of the time passes in the forward pass."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, logits: Tensor, gradient: Tensor, seconds: float) -> Any:
        _DEVICE.work(seconds)
        ctx.gradient = gradient
        return logits.view_as(logits)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> Any:
        return ctx.gradient, None, None, None


def sleeper(milliseconds: float, seed: int) -> nn.Module:
    """Return a network that takes so long for a batch: a factory for `import:` sources."""
    return Sleeper(milliseconds / 1000, seed)
