"""Memory that a device was let into stays so until nothing can be in use of it."""

import mmap
import os

import pytest
import torch

from gauntlet.pipeline.exchange.arena import Arena
from gauntlet.pipeline.exchange.mapped import Mapped
from gauntlet.pipeline.exchange.piece import Piece
from gauntlet.pipeline.exchange.pinning import Pinning

pytestmark = pytest.mark.skipif(
    not hasattr(os, "memfd_create"), reason="shares memory by memfd_create"
)
PIECE = Piece(64, (8,), torch.uint8)


class Device:
    """What a device is let into, as its driver keeps the list: each address once."""

    def __init__(self) -> None:
        self.memory: list[mmap.mmap] = []
        self.pinning = Pinning(self.memory.append, self.memory.remove)

    def __len__(self) -> int:
        return len(self.memory)


def test_a_forgotten_segment_stays_pinned_while_a_transfer_may_use_it():
    arena, device = Arena(), Device()
    there, areas = Mapped(keep=2, pinning=device.pinning), []
    areas.append(arena.lend(4096))
    areas[0].tensor(PIECE).fill_(7)
    copying = there.of(areas[0].handle).read(PIECE)  # what a copy that is under way holds
    for _ in range(5):
        areas.append(arena.lend(4096))
        there.of(areas[-1].handle)
    assert len(there) == 2
    assert len(device) == 3
    assert copying.tolist() == [7] * 8
    del copying
    assert len(device) == 2


def test_a_segment_whose_maker_let_go_stays_pinned_until_its_answer_is_written():
    arena, device = Arena(), Device()
    there = Mapped(pinning=device.pinning)
    gone = arena.lend(4096)
    answer = there.of(gone.handle).write(PIECE)
    gone.abandon()
    there.of(arena.lend(4096).handle)
    assert len(there) == 1
    assert len(device) == 2
    answer.fill_(1)
    del answer
    assert len(device) == 1


def test_nothing_stays_pinned():
    arena, device = Arena(), Device()
    there = Mapped(keep=4, pinning=device.pinning)
    areas = [arena.lend(4096) for _ in range(20)]
    for area in areas + areas[::-1]:
        there.of(area.handle).write(PIECE).fill_(3)
        assert len(device) <= 4
    assert all(area.tensor(PIECE).tolist() == [3] * 8 for area in areas)
    del there
    assert not len(device)
