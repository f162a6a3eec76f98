"""One round of questions on its way: in memory that is shared, or copied with the calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from gauntlet.pipeline.exchange.arena import Arena
from gauntlet.pipeline.exchange.piece import Layout, Piece
from gauntlet.pipeline.exchange.transfer import Transfer
from gauntlet.pipeline.oracle.places import Places, Sent, array, tensor

Given = tuple[Tensor | None, ...]
"""Arrays of a question: points, rows and, of a pullback, the cotangent."""
Room = tuple[Sequence[int], torch.dtype]
"""Shape and type of an array that an answer may have."""


class SharedRound:
    """Questions whose arrays lie in one area; what several of them are given is there once.

    Args:
        given: arrays of each question.
        rooms: what each answer may consist of, as many for each question.
        arena: lends the area.
        transfer: the way from and to the device of the arrays.

    Raises:
        OSError: when the arena has no memory to lend.
    """

    def __init__(
        self,
        given: Sequence[Given],
        rooms: Sequence[Sequence[Room]],
        arena: Arena,
        transfer: Transfer,
    ) -> None:
        layout = Layout()
        distinct = {id(one): one for arrays in given for one in arrays if one is not None}
        pieces = {key: layout.add(one.shape, one.dtype) for key, one in distinct.items()}
        kinds = [[layout.add(*room) for room in kind] for kind in zip(*rooms, strict=True)]
        self._area, self._transfer = arena.lend(layout.size), transfer
        self._places = [
            Places(
                self._area.handle,
                tuple(None if one is None else pieces[id(one)] for one in arrays),
                own,
            )
            for arrays, own in zip(given, zip(*kinds, strict=True), strict=True)
        ]
        written = [self._area.tensor(piece) for piece in pieces.values()]
        transfer.outward(list(distinct.values()), written, transfer.computed())

    def arguments(self, index: int) -> tuple[Any, ...]:
        """Return what `Desk.answer` is told of a question's arrays."""
        return (self._places[index],)

    def read(self, answer: Sequence[Sent]) -> list[Tensor]:
        """Return the arrays of an answer, on the device."""
        return [
            self._transfer.inward(self._area.tensor(one) if isinstance(one, Piece) else tensor(one))
            for one in answer
        ]

    def abandon(self) -> None:
        """Never use the memory again: a question that failed may still be being answered."""
        self._area.abandon()


class CopiedRound:
    """Questions whose arrays, and answers, travel with the calls.

    Args:
        given: arrays of each question.
        put: returns what travels in the place of points, which several questions may have.
        device: that of the answers.
    """

    def __init__(
        self, given: Sequence[Given], put: Callable[[Tensor], Any], device: torch.device
    ) -> None:
        self._given, self._put, self._device = given, put, device
        self._known: dict[int, Any] = {}

    def arguments(self, index: int) -> tuple[Any, ...]:
        """Return what `Desk.answer` is told of a question's arrays."""
        points, *more = self._given[index]
        assert points is not None
        if id(points) not in self._known:
            self._known[id(points)] = self._put(points)
        return None, self._known[id(points)], *(None if one is None else array(one) for one in more)

    def read(self, answer: Sequence[Sent]) -> list[Tensor]:
        """Return the arrays of an answer, on the device."""
        return [tensor(one, self._device) for one in answer if not isinstance(one, Piece)]

    def abandon(self) -> None:
        """Nothing to be done."""
