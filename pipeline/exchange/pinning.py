"""Memory that is locked into place, so that a GPU reads and writes it by itself."""

from __future__ import annotations

import ctypes
import mmap
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_cuda: Any = torch.cuda


@dataclass(frozen=True)
class Pinning:
    """How a device is let into memory that processes share.

    Attributes:
        pin: locks it into place.
        unpin: undoes that; before the memory is unmapped, and not while the device uses it.
    """

    pin: Callable[[mmap.mmap], None]
    unpin: Callable[[mmap.mmap], None]


def pinning(device: torch.device | str) -> Pinning | None:
    """Return how a device is let into memory; None for one that reads it where it lies."""
    return Pinning(_pin, _unpin) if torch.device(device).type == "cuda" else None


def whole(memory: mmap.mmap, gone: Callable[[mmap.mmap], None]) -> Tensor:
    """Return all bytes of memory, uint8 (N,).

    Args:
        memory: stays mapped for as long as a tensor on it lives.
        gone: called when the last of them is gone, at any moment and in any thread: a copy that is
            still under way keeps the tensors that it is from and to.
    """
    buffer = (ctypes.c_char * len(memory)).from_buffer(memory)
    weakref.finalize(buffer, gone, memory).atexit = False
    return torch.frombuffer(buffer, dtype=torch.uint8)


def _pin(memory: mmap.mmap) -> None:
    _check(_cuda.cudart().cudaHostRegister(_address(memory), len(memory), 0))


def _unpin(memory: mmap.mmap) -> None:
    _check(_cuda.cudart().cudaHostUnregister(_address(memory)))


def _address(memory: mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


def _check(status: Any) -> None:
    torch.cuda.check_error(int(status))
