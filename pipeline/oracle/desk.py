"""A responder in a process of its own: arrays are read and written where they are shared."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from gauntlet.pipeline.attacks.messages import Setting
from gauntlet.pipeline.exchange.mapped import Borrowed, Mapped
from gauntlet.pipeline.exchange.piece import Piece
from gauntlet.pipeline.exchange.pinning import pinning
from gauntlet.pipeline.exchange.transfer import Transfer
from gauntlet.pipeline.oracle.places import Places, Sent, array, tensor
from gauntlet.pipeline.oracle.responder import Responder

Verb = Literal["gradients", "outputs", "pullback"]
"""What may be asked: a responder's methods on points."""


class Desk:
    """Answers questions from other processes; several threads may ask at a time.

    The model works on one question at a time. What comes before and after it, mapping, unpacking
    and copying, is done beside the model's work on another question.

    Args:
        responder: answers.
        device: where its model is.

    Attributes:
        model: held while the model works.
    """

    def __init__(self, responder: Responder, device: torch.device | str = "cpu") -> None:
        self.model = threading.Lock()
        self._responder = responder
        self._mapped, self._transfer = Mapped(pinning=pinning(device)), Transfer(device)

    def answer(
        self, verb: Verb, setting: Setting, places: Places | None, *arrays: np.ndarray | None
    ) -> tuple[Sent, ...]:
        """Return the arrays of the answer: J and dJ/dx for `gradients`, else one.

        Args:
            verb: what is asked.
            setting: batch, query and the keys of the random draws.
            places: where the question's arrays are; None when they came along.
            arrays: the question's arrays, in the order of `Places.given`.

        Raises:
            Unreachable: when this process cannot map what the places name.
            ValueError: when they lie outside it.
        """
        memory = None if places is None else self._mapped.of(places.memory)
        if places is None or memory is None:
            given = [None if values is None else tensor(values) for values in arrays]
        else:
            given = [None if piece is None else memory.read(piece) for piece in places.given]
        points, rows, cotangent = (*given, None)[:3]
        if points is None:
            raise ValueError("a question without points")
        points = self._transfer.inward(points)
        cotangent = None if cotangent is None else self._transfer.inward(cotangent)
        with self.model:
            answers = self._answers(verb, setting, points, rows, cotangent)
            computed = self._transfer.computed()
        return self._sent(answers, memory, () if places is None else places.rooms, computed)

    def known(self, setting: Setting) -> dict[str, np.ndarray]:
        """Return what the query needs to know of the batch, by name, each (B, ...)."""
        with self.model:
            known = self._responder.known(setting)
        return {name: array(values) for name, values in known.items()}

    def _answers(
        self,
        verb: Verb,
        setting: Setting,
        points: Tensor,
        rows: Tensor | None,
        cotangent: Tensor | None,
    ) -> tuple[Tensor, ...]:
        if verb == "gradients":
            answer = self._responder.gradients(setting, points, rows)
            return answer.values, answer.gradient
        if verb == "outputs":
            # Their graph waits for the pullback, and meanwhile others may write to the memory.
            return (self._responder.outputs(setting, points.clone(), rows),)
        if cotangent is None:
            raise ValueError("a pullback without a cotangent")
        return (self._responder.pullback(setting, points, cotangent, rows),)

    def _sent(
        self,
        answers: Sequence[Tensor],
        memory: Borrowed | None,
        rooms: Sequence[Piece],
        computed: Any,
    ) -> tuple[Sent, ...]:
        """Write what there is room for, and return the other arrays themselves."""
        sent: list[Sent] = []
        written, places = [], []
        for answer, room in zip_longest(answers, rooms):
            if memory is None or room is None or answer.nbytes > room.size:
                sent.append(array(answer))
                continue
            piece = Piece(room.offset, tuple(answer.shape), answer.dtype)
            written.append(answer)
            places.append(memory.write(piece))
            sent.append(piece)
        self._transfer.outward(written, places, computed)
        return tuple(sent)
