"""Copies between a device and the memory that processes share."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

_cuda: Any = torch.cuda


class Transfer:
    """A device's way to and from shared memory: none on the CPU, which reads it where it lies.

    A GPU's copies run on streams of their own, beside its work: one waits for nothing but the
    tensor that it copies, and nothing waits for it but what reads the copy. Tensors of shared
    memory are kept until they have been copied: memory of which none is left is in no copy's use.

    Args:
        device: where the tensors are.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self._on_gpu = self.device.type == "cuda"
        if self._on_gpu:
            self._inward, self._outward = (_cuda.Stream(self.device) for _ in range(2))
            self._copying: list[tuple[Any, Tensor]] = []
            self._lock = threading.Lock()

    def inward(self, shared: Tensor) -> Tensor:
        """Return a tensor of shared memory on the device, which may still be copying it."""
        if not self._on_gpu:
            return shared.to(self.device)
        now = torch.cuda.current_stream(self.device)
        with torch.cuda.stream(self._inward):
            copy = shared.to(self.device, non_blocking=True)
        now.wait_stream(self._inward)
        copy.record_stream(now)  # it is of the other stream's memory
        with self._lock:  # what is being copied is kept, and what has been is let go
            going = [pair for pair in self._copying if not pair[0].query()]
            self._copying = [*going, (self._inward.record_event(), shared)]
        return copy

    def computed(self) -> Any:
        """Return a mark behind what the device has been asked to compute until now."""
        return torch.cuda.current_stream(self.device).record_event() if self._on_gpu else None

    def outward(self, tensors: Sequence[Tensor], places: Sequence[Tensor], after: Any) -> None:
        """Copy tensors to shared memory, and wait until they are there.

        Args:
            tensors: on the device.
            places: where to, of the same shapes and types.
            after: what `computed` returned when the tensors had been asked for.
        """
        if not self._on_gpu:
            for tensor, place in zip(tensors, places, strict=True):
                place.copy_(tensor)
            return
        done = _cuda.Event(blocking=True)
        with torch.cuda.stream(self._outward):
            self._outward.wait_event(after)
            for tensor, place in zip(tensors, places, strict=True):
                place.copy_(tensor, non_blocking=True)
            done.record(self._outward)
        done.synchronize()
