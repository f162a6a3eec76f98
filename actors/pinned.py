"""The oracle whose surrogates are actors, asked all at once over the object store."""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import ray
from torch import Tensor

from gauntlet.actors.turns import Turns
from gauntlet.actors.wire import WireBatch, array, tensor
from gauntlet.actors.workers import Errand
from gauntlet.pipeline.attacks.messages import Answer, Question, Setting
from gauntlet.pipeline.attacks.surrogate import Known
from gauntlet.pipeline.batch import Batch


class PublishedBatches:
    """Batches put into the object store once, however many attacks and actors read them."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._known: OrderedDict[tuple[str, int], tuple[Batch, str, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def publish(self, batch: Batch) -> tuple[str, Any]:
        """Return the batch's key and object reference.

        Batches of the same examples are the same batch, unless an attack gave one a guide: then
        it has a key of its own, which no later batch is given again.
        """
        text = "\x1f".join((batch.goal.value, *batch.ids)).encode()
        name = hashlib.blake2b(text, digest_size=12).hexdigest()
        # The entry holds the batch, so that no other guide has the same identity.
        place = (name, 0 if batch.guide is None else id(batch.guide))
        with self._lock:
            if place not in self._known:
                key = name if batch.guide is None else f"{name}-{uuid.uuid4().hex}"
                self._known[place] = (batch, key, ray.put(WireBatch.pack(batch)))
                while len(self._known) > self._keep:
                    self._known.popitem(last=False)
            _, key, reference = self._known[place]
            return key, reference


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
        errand = self._errand(setting)
        sent = self._published(questions)
        calls = [
            self._ask(question.model, "gradients", errand, points, rows)
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
        errand = self._errand(setting)
        calls = [
            self._ask(question.model, "outputs", errand, points, rows)
            for question, (points, rows) in zip(questions, self._published(questions), strict=True)
        ]
        return [tensor(call.result()) for call in calls]

    def pullback(
        self, setting: Setting, questions: Sequence[Question], cotangents: Sequence[Tensor]
    ) -> list[Tensor]:
        """Return each model's vector-Jacobian product."""
        errand = self._errand(setting)
        calls = [
            self._ask(question.model, "pullback", errand, points, array(cotangent), rows)
            for question, (points, rows), cotangent in zip(
                questions, self._published(questions), cotangents, strict=True
            )
        ]
        return [tensor(call.result()) for call in calls]

    def known(self, setting: Setting, model: int) -> Known:
        """Return what the query needs to know of the batch for one model."""
        found = self._ask(model, "known", self._errand(setting)).result()
        return {name: tensor(values) for name, values in found.items()}

    def _ask(self, model: int, method: str, *arguments: Any) -> Future[Any]:
        actor = self._actors[model]
        return self._turns.ask(id(actor), lambda: getattr(actor, method).remote(*arguments))

    def _errand(self, setting: Setting) -> Errand:
        key, reference = self._batches.publish(setting.batch)
        return Errand(
            key=key,
            batch=[reference],
            query=setting.query,
            seed=setting.seed,
            attack=setting.attack,
            step=setting.step,
            draw=setting.draw,
        )

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
