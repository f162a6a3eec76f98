"""The oracle whose surrogates are actors, asked all at once over the object store."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import ray
from torch import Tensor

from gauntlet.actors.batches import PublishedBatches
from gauntlet.actors.turns import Turns
from gauntlet.actors.wire import Packed, array, tensor
from gauntlet.pipeline.attacks.messages import Answer, Question, Setting
from gauntlet.pipeline.attacks.surrogate import Known


class PinnedOracle:
    """Fans every question out to the actor that holds its model, and gathers the answers."""

    def __init__(
        self, names: Sequence[str], actors: Sequence[Any], batches: PublishedBatches, turns: Turns
    ) -> None:
        self._names, self._actors = tuple(names), tuple(actors)
        self._batches, self._turns = batches, turns

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the surrogates."""
        return self._names

    def gradients(self, setting: Setting, questions: Sequence[Question]) -> list[Answer]:
        """Return each question's answer; the actors work at the same time."""
        packed = self._packed(setting)
        sent = self._published(questions)
        calls = [
            self._ask(question.model, "gradients", packed, points, rows)
            for question, (points, rows) in zip(questions, sent, strict=True)
        ]
        answers = []
        for question, call in zip(questions, calls, strict=True):
            values, gradient = call.result()
            where = question.points.device
            answers.append(Answer(tensor(values, where), tensor(gradient, where)))
        return answers

    def outputs(self, setting: Setting, questions: Sequence[Question]) -> list[Tensor]:
        """Return each model's outputs on all views of its points."""
        packed = self._packed(setting)
        calls = [
            self._ask(question.model, "outputs", packed, points, rows)
            for question, (points, rows) in zip(questions, self._published(questions), strict=True)
        ]
        return [tensor(call.result()) for call in calls]

    def pullback(
        self, setting: Setting, questions: Sequence[Question], cotangents: Sequence[Tensor]
    ) -> list[Tensor]:
        """Return each model's vector-Jacobian product."""
        packed = self._packed(setting)
        calls = [
            self._ask(question.model, "pullback", packed, points, array(cotangent), rows)
            for question, (points, rows), cotangent in zip(
                questions, self._published(questions), cotangents, strict=True
            )
        ]
        return [tensor(call.result()) for call in calls]

    def known(self, setting: Setting, model: int) -> Known:
        """Return what the query needs to know of the batch for one model."""
        found = self._ask(model, "known", self._packed(setting)).result()
        return {name: tensor(values) for name, values in found.items()}

    def _ask(self, model: int, method: str, *arguments: Any) -> Future[Any]:
        actor = self._actors[model]
        return self._turns.ask(id(actor), lambda: getattr(actor, method).remote(*arguments))

    def _packed(self, setting: Setting) -> Packed[Setting]:
        return Packed.of(setting, batch=self._batches.publish(setting.batch))

    @staticmethod
    def _published(questions: Sequence[Question]) -> list[tuple[Any, Any]]:
        """Put each distinct set of points into the object store once."""
        references: dict[int, Any] = {}
        for question in questions:
            if id(question.points) not in references:
                references[id(question.points)] = ray.put(array(question.points))
        return [
            (
                references[id(question.points)],
                None if question.rows is None else array(question.rows),
            )
            for question in questions
        ]
