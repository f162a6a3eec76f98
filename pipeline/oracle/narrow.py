"""An oracle that is asked in smaller pieces, where there is no memory for whole batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from gauntlet.pipeline.attacks.ask import Oracle
from gauntlet.pipeline.attacks.messages import Answer, Question, Setting
from gauntlet.pipeline.attacks.surrogate import Known


class NarrowOracle:
    """Asks about so few examples at a time that a pass has no more rows than it may.

    The answers are those of whole batches, to the last bits: libraries add in another order.

    Args:
        oracle: the surrogates.
        rows_per_pass: most image views in a pass; one example has as many as the attack wants.
    """

    def __init__(self, oracle: Oracle, rows_per_pass: int) -> None:
        self._oracle, self._rows = oracle, rows_per_pass

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the surrogates."""
        return tuple(self._oracle.models)

    def gradients(self, setting: Setting, questions: Sequence[Question]) -> list[Answer]:
        """Return each question's answer."""
        found = []
        for question in questions:
            values, gradients = [], []
            for part, _ in self._parts(setting, question):
                (answer,) = self._oracle.gradients(setting, [part])
                values.append(answer.values.clone())  # the next one may lie in the same memory
                gradients.append(answer.gradient.clone())
            found.append(Answer(torch.cat(values), torch.cat(gradients)))
        return found

    def outputs(self, setting: Setting, questions: Sequence[Question]) -> list[Tensor]:
        """Return each model's outputs on all views of its points, (copies * R, C)."""
        found = []
        for question in questions:
            parts = [
                _by_copy(self._oracle.outputs(setting, [part])[0].clone(), setting)
                for part, _ in self._parts(setting, question)
            ]
            found.append(torch.cat(parts, dim=1).flatten(0, 1))
        return found

    def pullback(
        self, setting: Setting, questions: Sequence[Question], cotangents: Sequence[Tensor]
    ) -> list[Tensor]:
        """Return each model's vector-Jacobian product, (R, 3, H, W)."""
        found = []
        for question, cotangent in zip(questions, cotangents, strict=True):
            whole = _by_copy(cotangent, setting)
            parts = [
                self._oracle.pullback(setting, [part], [whole[:, rows].flatten(0, 1)])[0].clone()
                for part, rows in self._parts(setting, question)
            ]
            found.append(torch.cat(parts))
        return found

    def known(self, setting: Setting, model: int) -> Known:
        """Return what the query needs to know of the batch for one model."""
        return self._oracle.known(setting, model)

    def _parts(self, setting: Setting, question: Question) -> Iterator[tuple[Question, slice]]:
        points, rows = question.points, question.rows
        every = torch.arange(len(points)) if rows is None else rows
        size = max(1, self._rows // len(setting.query.copies))
        for first in range(0, len(points), size):
            piece = slice(first, first + size)
            yield replace(question, points=points[piece], rows=every[piece]), piece


def _by_copy(values: Tensor, setting: Setting) -> Tensor:
    """Return (copies * R, C) as (copies, R, C)."""
    return values.reshape(len(setting.query.copies), -1, *values.shape[1:])
