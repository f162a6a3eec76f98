"""The oracle of notebooks, tests and packed workers: all surrogates in this process."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gauntlet.pipeline.attacks.messages import Answer, Question, Setting
from gauntlet.pipeline.attacks.surrogate import Known
from gauntlet.pipeline.models.model import Model
from gauntlet.pipeline.oracle.responder import Responder


class InProcessOracle:
    """Asks the surrogates one after the other, on the device that each of them is on."""

    def __init__(self, models: Sequence[Model], *, rows_per_pass: int = 256) -> None:
        if not models:
            raise ValueError("no model was given: an attack needs at least one surrogate")
        names = [model.name for model in models]
        if len(set(names)) != len(names):
            raise ValueError(f"surrogates need different names, got {', '.join(names)}")
        self._responders = [Responder(model, rows_per_pass=rows_per_pass) for model in models]

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the surrogates."""
        return tuple(responder.name for responder in self._responders)

    def gradients(self, setting: Setting, questions: Sequence[Question]) -> list[Answer]:
        """Return each question's answer."""
        return [
            self._responders[question.model].gradients(setting, question.points, question.rows)
            for question in questions
        ]

    def outputs(self, setting: Setting, questions: Sequence[Question]) -> list[Tensor]:
        """Return each model's outputs on all views of its points, (copies * R, C)."""
        return [
            self._responders[question.model].outputs(setting, question.points, question.rows)
            for question in questions
        ]

    def pullback(
        self, setting: Setting, questions: Sequence[Question], cotangents: Sequence[Tensor]
    ) -> list[Tensor]:
        """Return each model's vector-Jacobian product, (R, 3, H, W)."""
        return [
            self._responders[question.model].pullback(
                setting, question.points, cotangent, question.rows
            )
            for question, cotangent in zip(questions, cotangents, strict=True)
        ]

    def known(self, setting: Setting, model: int) -> Known:
        """Return what the query needs to know of the batch for one model."""
        with torch.no_grad():
            return self._responders[model].known(setting)
