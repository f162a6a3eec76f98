"""Memory that another process maps: what a handle must be, and what is left of it."""

import os
from dataclasses import replace

import pytest
import torch

from gauntlet.pipeline.exchange.arena import Arena
from gauntlet.pipeline.exchange.mapped import Mapped
from gauntlet.pipeline.exchange.piece import Layout, Piece
from gauntlet.pipeline.exchange.segment import Segment, Unreachable

linux = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="shares memory by memfd_create")
pytestmark = linux


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int64])
def test_what_one_side_writes_the_other_reads_where_it_lies(dtype):
    arena, there, layout = Arena(), Mapped(), Layout()
    points, room = layout.add((2, 3), dtype), layout.add((2, 3), dtype)
    area = arena.lend(layout.size)
    area.tensor(points).copy_(torch.arange(6).reshape(2, 3))
    memory = there.of(area.handle)
    memory.write(room).copy_(memory.read(points) * 2)
    assert area.tensor(room).tolist() == [[0, 2, 4], [6, 8, 10]]


@pytest.mark.parametrize(
    ("lie", "said"),
    [
        ({"token": b"0" * 16}, "another segment"),
        ({"token": b""}, "another segment"),
        ({"machine": "elsewhere"}, "another machine"),
        ({"size": 1 << 40}, "size"),
        ({"size": 8}, "size"),
        ({"descriptor": 0}, "no segment"),
        ({"descriptor": 9999}, "No such file"),
        ({"process": 2**22 + 1}, "No such file"),
    ],
)
def test_a_handle_that_lies_maps_nothing(lie, said):
    segment = Segment(4096)
    before = open_files()
    with pytest.raises(Unreachable, match=said):
        Mapped().of(replace(segment.handle, **lie))
    assert open_files() == before


@pytest.mark.parametrize(
    "piece",
    [
        Piece(0, (4,), torch.uint8),
        Piece(-64, (4,), torch.uint8),
        Piece(4096, (1,), torch.uint8),
        Piece(4032, (17,), torch.float32),
        Piece(68, (4,), torch.uint8),
        Piece(64, (-1,), torch.uint8),
        Piece(64, (1 << 40,), torch.float64),
    ],
)
def test_a_piece_outside_its_segment_is_refused_on_both_sides(piece):
    area = Arena().lend(4096)
    memory = Mapped().of(area.handle)
    for reach in (area.tensor, memory.read, memory.write):
        with pytest.raises(ValueError, match="does not lie in a segment"):
            reach(piece)


def test_an_area_is_lent_again_when_the_last_tensor_of_it_is_gone():
    arena = Arena()
    kept = arena.lend(4096).tensor(Piece(64, (8,), torch.uint8)).zero_()
    part = kept[2:]
    other = arena.lend(4096)
    other.tensor(Piece(64, (8,), torch.uint8)).fill_(7)
    assert part.tolist() == [0] * 6
    assert arena.size == 8192
    del kept, part
    assert arena.lend(4096).handle != other.handle
    assert arena.size == 8192


def test_an_abandoned_area_is_never_lent_again_and_no_longer_mapped():
    arena, there = Arena(), Mapped()
    area = arena.lend(4096)
    memory = there.of(area.handle)
    area.abandon()
    memory.write(Piece(64, (8,), torch.uint8)).fill_(7)  # a late answer
    with pytest.raises(Unreachable, match="let go"):
        there.of(area.handle)
    handle = area.handle
    del area
    fresh = arena.lend(4096)
    assert fresh.handle.token != handle.token
    assert not fresh.tensor(Piece(64, (8,), torch.uint8)).any()


def test_nothing_piles_up_on_either_side():
    before, pages = open_files(), 16
    arena, there = Arena(limit=pages * 4096), Mapped(keep=4)
    for use in range(200):
        area = arena.lend(4096 * (1 + use % 13))
        there.of(area.handle)
        if use % 5 == 0:
            area.abandon()
        del area
        assert open_files() <= before + 2 * pages + 2 * 4
    assert arena.size <= pages * 4096
    assert len(there) <= 4
    arena.close()
    del arena, there
    assert open_files() == before


def test_more_than_the_limit_is_not_lent():
    arena = Arena(limit=1 << 14)
    first = arena.lend(1 << 13)
    with pytest.raises(OSError, match="more than the 16384 bytes"):
        arena.lend(1 << 14)
    del first
    assert arena.lend(1 << 14).handle.size == 1 << 14
