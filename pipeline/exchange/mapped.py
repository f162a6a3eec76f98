"""Segments of other processes, mapped by the process that answers."""

from __future__ import annotations

import threading
import warnings
from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor

from gauntlet.pipeline.exchange.piece import Piece
from gauntlet.pipeline.exchange.pinning import Pinning, whole
from gauntlet.pipeline.exchange.segment import Handle, Mapping, Unreachable

# What is only read is mapped so that a network which writes to its input cannot change it.
warnings.filterwarnings("ignore", message="The given buffer is not writable")


@dataclass(frozen=True)
class Borrowed:
    """A segment of another process.

    Attributes:
        mapping: keeps it mapped.
        reading: its bytes, uint8 (N,), not to be written to.
        writing: the same.
    """

    mapping: Mapping
    reading: Tensor
    writing: Tensor

    def read(self, piece: Piece) -> Tensor:
        """Return a tensor that lies there; `ValueError` when it does not."""
        return piece.on(self.reading)

    def write(self, piece: Piece) -> Tensor:
        """Return a tensor that is to be written; `ValueError` when it does not lie there."""
        return piece.on(self.writing)


class Mapped:
    """Maps each segment once, and keeps the last few.

    One that is forgotten stays mapped, and pinned, until no tensor of it is left: another thread
    may be answering in it, and a GPU be copying.

    Args:
        keep: how many.
        pinning: how the models' device is let in; None when it reads memory where it lies.
    """

    def __init__(self, keep: int = 16, pinning: Pinning | None = None) -> None:
        self._keep, self._pinning = keep, pinning
        self._known: OrderedDict[bytes, Borrowed] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._known)

    def of(self, handle: Handle) -> Borrowed:
        """Return the segment of a handle.

        Raises:
            Unreachable: when it cannot be mapped here, or is no longer in use.
        """
        with self._lock:
            found = self._known.get(handle.token)
            if found is None:
                for token, other in list(self._known.items()):
                    if not other.mapping.current:
                        del self._known[token]
                found = self._known[handle.token] = self._map(handle)
                while len(self._known) > self._keep:
                    self._known.popitem(last=False)
            self._known.move_to_end(handle.token)
        if not found.mapping.current:
            raise Unreachable("the process that made the segment has let go of it")
        return found

    def _map(self, handle: Handle) -> Borrowed:
        mapping = Mapping(handle)
        if self._pinning is None:
            reading, writing = (
                torch.frombuffer(memory, dtype=torch.uint8)
                for memory in (mapping.reading, mapping.memory)
            )
            return Borrowed(mapping, reading, writing)
        self._pinning.pin(mapping.memory)
        # A GPU copies what it reads, from memory that is locked into place.
        both = whole(mapping.memory, self._pinning.unpin)
        return Borrowed(mapping, both, both)
