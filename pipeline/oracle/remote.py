"""The oracle whose surrogates are in processes of their own, asked all at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from gauntlet.pipeline.attacks.messages import Answer, Question, Setting
from gauntlet.pipeline.attacks.surrogate import Known
from gauntlet.pipeline.exchange.arena import Arena
from gauntlet.pipeline.exchange.segment import Unreachable
from gauntlet.pipeline.exchange.transfer import Transfer
from gauntlet.pipeline.oracle.desk import Verb
from gauntlet.pipeline.oracle.places import Places, array, tensor
from gauntlet.pipeline.oracle.round import CopiedRound, Given, Room, SharedRound


class Call(Protocol):
    """A question that is being answered: a `Future`, for example."""

    def result(self) -> Any:
        """Wait for the answer, or raise what ended the call."""


class Line(Protocol):
    """The way to the process that has a surrogate behind its `Desk`."""

    def answer(self, verb: Verb, setting: Any, places: Places | None, *arrays: Any) -> Call:
        """Have the desk answer."""

    def known(self, setting: Any) -> Call:
        """Have the desk tell what the query needs to know of the batch."""


class RemoteOracle:
    """Fans every question out to the process that holds its model, and gathers the answers.

    Processes of this machine read points and write gradients in memory that they share with this
    one; to the others, and where there is no such memory, arrays travel with the calls. Both give
    the same numbers. An oracle is for one thread; several may share lines and arena.

    Args:
        names: of the surrogates.
        lines: the way to each of them.
        arena: memory of this process.
        device: of the points and of the answers.
        waiting: entered whenever answers are waited for.
        note: told of arrays that cannot be shared, and why.

    Attributes:
        waited: seconds of waiting for answers until now, but not for what `waiting` waits for when
            they are there.
    """

    def __init__(
        self,
        names: Sequence[str],
        lines: Sequence[Line],
        arena: Arena,
        *,
        device: torch.device | str = "cpu",
        waiting: Callable[[], AbstractContextManager[None]] = nullcontext,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._names, self._lines, self._arena = tuple(names), tuple(lines), arena
        self._transfer, self._waiting, self._note = Transfer(device), waiting, note
        self._apart: set[int] = set()
        self._widths: dict[int, int] = {}
        self.waited = 0.0

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the surrogates."""
        return self._names

    def gradients(self, setting: Setting, questions: Sequence[Question]) -> list[Answer]:
        """Return each question's answer; the processes work at the same time."""
        rooms = [(_like(one.points[:, 0, 0, 0]), _like(one.points)) for one in questions]
        given = [(one.points, one.rows) for one in questions]
        found = self._asked("gradients", setting, questions, given, rooms)
        # Whoever keeps the values shall not keep the gradients' memory with them.
        return [Answer(values.clone(), gradient) for values, gradient in found]

    def outputs(self, setting: Setting, questions: Sequence[Question]) -> list[Tensor]:
        """Return each model's outputs on all views of its points."""
        # What a model gives for a row shows with its first answer.
        rooms = [
            [((self._widths.get(one.model, 0) * len(one.points),), torch.uint8)]
            for one in questions
        ]
        given = [(one.points, one.rows) for one in questions]
        found = [one for (one,) in self._asked("outputs", setting, questions, given, rooms)]
        for question, outputs in zip(questions, found, strict=True):
            if len(question.points):
                self._widths[question.model] = outputs.nbytes // len(question.points)
        return found

    def pullback(
        self, setting: Setting, questions: Sequence[Question], cotangents: Sequence[Tensor]
    ) -> list[Tensor]:
        """Return each model's vector-Jacobian product."""
        rooms = [[_like(one.points)] for one in questions]
        pairs = zip(questions, cotangents, strict=True)
        given = [(one.points, one.rows, cotangent) for one, cotangent in pairs]
        return [one for (one,) in self._asked("pullback", setting, questions, given, rooms)]

    def known(self, setting: Setting, model: int) -> Known:
        """Return what the query needs to know of the batch for one model."""
        call = self._lines[model].known(self._packed(setting))
        with self._clocked():
            found: dict[str, np.ndarray] = call.result()
        return {name: tensor(values, self._transfer.device) for name, values in found.items()}

    def _packed(self, setting: Setting) -> Any:
        """Return what travels in the setting's place."""
        return setting

    def _put(self, values: Tensor) -> Any:
        """Return what travels in the place of points that several models are asked about."""
        return array(values)

    def _asked(
        self,
        verb: Verb,
        setting: Setting,
        questions: Sequence[Question],
        given: Sequence[Given],
        rooms: Sequence[Sequence[Room]],
    ) -> list[list[Tensor]]:
        """Ask everything at the same time; return the arrays of each answer."""
        packed = self._packed(setting)
        copied = CopiedRound(given, self._put, self._transfer.device)
        shared = self._shared(questions, given, rooms) or copied
        try:
            rounds = [copied if one.model in self._apart else shared for one in questions]
            calls = [
                self._lines[question.model].answer(verb, packed, *sent.arguments(index))
                for index, (question, sent) in enumerate(zip(questions, rounds, strict=True))
            ]
            with self._clocked():
                answers = [_answer(call) for call in calls]
            again: dict[int, Call] = {}
            for index, answer in enumerate(answers):
                if not isinstance(answer, Unreachable):
                    continue
                model, rounds[index] = questions[index].model, copied
                self._keep_apart(model, answer)
                again[index] = self._lines[model].answer(verb, packed, *copied.arguments(index))
            for index, call in again.items():
                with self._clocked():
                    answers[index] = call.result()
        except BaseException:
            shared.abandon()
            raise
        return [sent.read(answer) for sent, answer in zip(rounds, answers, strict=True)]

    @contextmanager
    def _clocked(self) -> Iterator[None]:
        with self._waiting():
            asked = time.perf_counter()
            yield
            self.waited += time.perf_counter() - asked

    def _shared(
        self,
        questions: Sequence[Question],
        given: Sequence[Given],
        rooms: Sequence[Sequence[Room]],
    ) -> SharedRound | None:
        if all(question.model in self._apart for question in questions):
            return None
        try:
            return SharedRound(given, rooms, self._arena, self._transfer)
        except OSError as error:
            self._note(f"arrays travel with the calls: {error}")
            return None

    def _keep_apart(self, model: int, error: Unreachable) -> None:
        self._apart.add(model)
        cause = getattr(error, "cause", error)  # as it was in that process
        self._note(
            f"arrays to and from surrogate {self._names[model]} travel with the calls: {cause}"
        )


def _answer(call: Call) -> Any:
    """Return an answer, or the error of a process that cannot reach the memory."""
    try:
        return call.result()
    except Unreachable as error:
        return error


def _like(tensor: Tensor) -> Room:
    return tuple(tensor.shape), tensor.dtype
