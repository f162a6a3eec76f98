"""Segments of this process, lent out a round of questions at a time."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable

import torch
from torch import Tensor

from gauntlet.pipeline.exchange.piece import Piece
from gauntlet.pipeline.exchange.pinning import pinning, whole
from gauntlet.pipeline.exchange.segment import Segment

_PAGE = 4096
_WASTE = 4
"""How many times larger than needed a segment may be."""


class Area:
    """A segment on loan: a round's points are written to it once, its answers are read in it.

    Attributes:
        handle: what an answering process maps it by.
    """

    def __init__(self, segment: Segment, back: Callable[[Segment], None]) -> None:
        self.handle = segment.handle
        self._segment = segment
        # Only when the last tensor is gone is the segment lent out again, and nobody has to say
        # that he has read an answer.
        self._memory = whole(segment.memory, lambda _: back(segment))

    def tensor(self, piece: Piece) -> Tensor:
        """Return the tensor that lies there; the area is on loan for as long as it lives.

        Raises:
            ValueError: when the piece does not lie in the area.
        """
        return piece.on(self._memory)

    def abandon(self) -> None:
        """Never lend the segment again: a call that failed may still write to it."""
        self._segment.close()


class Arena:
    """Lends areas; those that came back are lent again, since everybody has mapped their pages.

    Args:
        limit: most bytes of all segments; by default a quarter of the machine's memory.
        device: that of the points and answers; a GPU reads and writes segments by itself.
    """

    def __init__(self, limit: int | None = None, device: torch.device | str = "cpu") -> None:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        self._limit = memory // 4 if limit is None else limit
        self._pinning = pinning(device)
        self._segments: list[Segment] = []
        self._free: list[Segment] = []
        # An area may be collected at any moment, inside `lend`, too: then it is only noted.
        self._back: deque[Segment] = deque()
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Bytes of all segments."""
        return sum(segment.handle.size for segment in self._segments)

    def lend(self, size: int) -> Area:
        """Lend an area of at least so many bytes.

        Raises:
            OSError: when that would be more than the limit, or the system has no such memory.
        """
        with self._lock:
            self._take_back()
            fitting = [s for s in self._free if size <= s.handle.size <= _WASTE * size]
            if fitting:
                segment = min(fitting, key=lambda segment: segment.handle.size)
                self._free.remove(segment)
            else:
                segment = self._new(-(-size // _PAGE) * _PAGE)
        return Area(segment, self._back.append)

    def close(self) -> None:
        """Let go of everything; what is on loan stays readable."""
        with self._lock:
            self._take_back()
            while self._free:
                self._end(self._free.pop())
            for segment in self._segments:
                segment.close()

    def _take_back(self) -> None:
        while self._back:
            segment = self._back.popleft()
            if segment.closed:
                self._end(segment)
            else:
                self._free.append(segment)

    def _new(self, size: int) -> Segment:
        while self._free and self.size + size > self._limit:
            self._end(self._free.pop(0))
        if self.size + size > self._limit:
            raise OSError(f"arrays on their way take more than the {self._limit} bytes allowed")
        segment = Segment(size)
        if self._pinning is not None:
            self._pinning.pin(segment.memory)
        self._segments.append(segment)
        return segment

    def _end(self, segment: Segment) -> None:
        if self._pinning is not None:
            self._pinning.unpin(segment.memory)
        segment.close()
        self._segments.remove(segment)
