"""What a question to another process carries in place of its arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gauntlet.pipeline.exchange.piece import Piece
from gauntlet.pipeline.exchange.segment import Handle


@dataclass(frozen=True)
class Places:
    """Where the arrays of a question lie in shared memory.

    Attributes:
        memory: the segment.
        given: points, rows and, of a pullback, the cotangent; None where there is none.
        rooms: where each array of the answer may be written, if there is room for it.
    """

    memory: Handle
    given: tuple[Piece | None, ...]
    rooms: tuple[Piece, ...]


Sent = Piece | np.ndarray
"""An array of an answer: where it was written, or the array itself."""


def array(tensor: Tensor) -> np.ndarray:
    """Return a CPU array of a tensor."""
    return tensor.detach().cpu().contiguous().numpy()


def tensor(values: np.ndarray, device: torch.device | str = "cpu") -> Tensor:
    """Return a tensor on the array's memory, or on a device."""
    return torch.from_numpy(values).to(device)
