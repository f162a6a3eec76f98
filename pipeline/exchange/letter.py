"""A picklable thing whose arrays lie in shared memory while the rest of it travels."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from gauntlet.pipeline.exchange.arena import Area, Arena
from gauntlet.pipeline.exchange.mapped import Mapped
from gauntlet.pipeline.exchange.piece import Layout, Piece
from gauntlet.pipeline.exchange.segment import Handle


@dataclass(frozen=True)
class Letter:
    """What travels to other processes of the machine.

    Attributes:
        text: the thing, pickled without its arrays.
        memory: where the arrays lie.
        enclosed: the place of each of them there, uint8 (N,).
    """

    text: bytes
    memory: Handle
    enclosed: tuple[Piece, ...]

    @classmethod
    def of(cls, thing: Any, arena: Arena) -> tuple[Letter, Area]:
        """Return a letter, and the area that has to live until it has been read for the last time.

        Raises:
            OSError: when the arena has no memory to lend.
        """
        buffers: list[pickle.PickleBuffer] = []
        text = pickle.dumps(thing, protocol=5, buffer_callback=buffers.append)
        arrays = [np.frombuffer(buffer.raw(), np.uint8) for buffer in buffers]
        layout = Layout()
        pieces = tuple(layout.add((len(array),), torch.uint8) for array in arrays)
        area = arena.lend(layout.size)
        for piece, array in zip(pieces, arrays, strict=True):
            area.tensor(piece).numpy()[:] = array
        return cls(text, area.handle, pieces), area

    def read(self, mapped: Mapped) -> Any:
        """Return the thing; its arrays are on the shared memory, and not to be written to.

        Raises:
            Unreachable: when this process cannot map it.
        """
        memory = mapped.of(self.memory)
        return pickle.loads(
            self.text, buffers=[memory.read(piece).numpy() for piece in self.enclosed]
        )
