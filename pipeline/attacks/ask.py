"""The oracle, bound to one attack on one batch: what a combination rule asks with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from gauntlet.pipeline.attacks.messages import Answer, Question, Setting
from gauntlet.pipeline.attacks.query import Query
from gauntlet.pipeline.attacks.surrogate import Known
from gauntlet.pipeline.draws import Draws


class Oracle(Protocol):
    """Answers questions about k surrogates; where they live is its own business.

    `pipeline.oracle.InProcessOracle` holds them in this process, `actors.pinned` one per actor.
    """

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the surrogates, in the order of their indexes."""

    def gradients(self, setting: Setting, questions: Sequence[Question]) -> list[Answer]:
        """Return each question's answer, in order; different models may work at the same time.

        The answers are read, never written, before anything else is asked: the next ones may lie
        in the same memory.
        """

    def outputs(self, setting: Setting, questions: Sequence[Question]) -> list[Tensor]:
        """Return each model's outputs on all views of its points, (copies * R, C)."""

    def pullback(
        self, setting: Setting, questions: Sequence[Question], cotangents: Sequence[Tensor]
    ) -> list[Tensor]:
        """Return each model's vector-Jacobian product at its points, (R, 3, H, W)."""

    def known(self, setting: Setting, model: int) -> Known:
        """Return what the query needs to know of the batch for one model."""


@dataclass(frozen=True)
class Answers:
    """Answers of all k surrogates at the same points.

    Attributes:
        values: J, (k, B).
        gradients: k of (B, 3, H, W), the oracle's own: to be read before the next question and
            never written; a rule that needs one for longer copies it.
    """

    values: Tensor
    gradients: tuple[Tensor, ...]


@dataclass(frozen=True)
class Lost:
    """Why an example cannot be attacked."""

    example: str
    step: int
    model: str
    reason: str


class Ask:
    """Asks an oracle within one update of one attack, and sets non-finite answers aside.

    A NaN or infinite answer is a failure of that example: it is recorded in ``lost``, and its
    gradient becomes zero, so that no rule averages it into anything (specification 1, point 6).
    """

    def __init__(self, oracle: Oracle, models: Sequence[int], setting: Setting) -> None:
        self._oracle = oracle
        self._models = tuple(models)
        self.setting = setting
        self.lost: dict[int, Lost] = {}

    @property
    def models(self) -> int:
        """Number of surrogates, k."""
        return len(self._models)

    def at_step(self, step: int) -> None:
        """Move on to another update: random draws are keyed by it."""
        self.setting = replace(self.setting, step=step)

    def with_query(self, query: Query, draw: str) -> Ask:
        """Return the same, asking something else, with random draws called ``draw``."""
        other = Ask(self._oracle, self._models, replace(self.setting, query=query, draw=draw))
        other.lost = self.lost
        return other

    def draws(self, purpose: str) -> Draws:
        """Return one stream per example for a rule's own randomness."""
        return self.setting.draws(f"rule/{purpose}", None)

    def __call__(self, points: Tensor) -> Answers:
        """Return the answers of all surrogates at ``points`` (B, 3, H, W)."""
        questions = [Question(model, points) for model in self._models]
        answers = self._checked(questions, self._oracle.gradients(self.setting, questions))
        return Answers(
            torch.stack([answer.values for answer in answers]),
            tuple(answer.gradient for answer in answers),
        )

    def each(self, points: Tensor, chosen: Tensor, draw: str = "") -> Answer:
        """Return each example's answer from the one surrogate chosen for it.

        Args:
            points: (B, 3, H, W).
            chosen: position of the surrogate, 0..k-1, int64 (B,) on the CPU.
            draw: names a random draw apart from that of `__call__`; the same one when empty.
        """
        names = [name for name in (self.setting.draw, draw) if name]
        setting = replace(self.setting, draw="/".join(names))
        parts = [
            (position, rows)
            for position in range(self.models)
            if len(rows := (chosen == position).nonzero()[:, 0])
        ]
        questions = [
            Question(self._models[position], points[rows.to(points.device)], rows)
            for position, rows in parts
        ]
        values = points.new_zeros(len(points))
        gradient = torch.zeros_like(points)
        answers = self._checked(questions, self._oracle.gradients(setting, questions))
        for question, answer in zip(questions, answers, strict=True):
            assert question.rows is not None
            rows = question.rows.to(points.device)
            values[rows] = answer.values
            gradient[rows] = answer.gradient
        return Answer(values, gradient)

    def fused(self, points: Tensor, fuse: Callable[[Tensor], Tensor]) -> Answer:
        """Return the gradient of the objective on fused outputs (specification 1, point 2).

        All surrogates run forward, their outputs are fused into one, and the objective's
        derivative goes back through each of them.

        Args:
            points: (B, 3, H, W).
            fuse: maps the outputs of all models (k, R, C) to one model's (R, C).

        Raises:
            ValueError: when the models have different numbers of outputs.
        """
        questions = [Question(model, points) for model in self._models]
        found = self._oracle.outputs(self.setting, questions)
        sizes = [output.shape[1] for output in found]
        if len(set(sizes)) > 1:
            names = [self._oracle.models[model] for model in self._models]
            each = ", ".join(f"{n!r} has {s}" for n, s in zip(names, sizes, strict=True))
            raise ValueError(f"outputs can be fused only of models with the same classes: {each}")
        outputs = torch.stack(found).requires_grad_()
        copies = outputs.shape[1] // len(points)
        known = self._oracle.known(self.setting, self._models[0])
        known = {
            name: value.repeat(copies, *([1] * (value.ndim - 1))) for name, value in known.items()
        }
        with torch.enable_grad():
            query, goal = self.setting.query, self.setting.batch.goal
            values = query.objective.of_outputs(fuse(outputs), known, goal)
            (cotangents,) = torch.autograd.grad(values.sum() / copies, outputs)
        gradients = self._oracle.pullback(self.setting, questions, list(cotangents))
        mean = values.detach().to(points.dtype).reshape(copies, -1).mean(0)
        answer = Answer(mean, torch.stack(gradients).sum(0))
        return self._checked([Question(-1, points)], [answer])[0]

    def _checked(self, questions: Sequence[Question], answers: Sequence[Answer]) -> list[Answer]:
        # One look at all of them: on a device every look waits.
        if bool(torch.cat([answer.finite for answer in answers]).all()):
            return list(answers)
        pairs = zip(questions, answers, strict=True)
        return [self._without_bad(question, answer) for question, answer in pairs]

    def _without_bad(self, question: Question, answer: Answer) -> Answer:
        finite = answer.finite
        if bool(finite.all()):
            return answer
        bad = (~finite).nonzero()[:, 0].cpu()
        batch = self.setting.batch
        name = "all" if question.model < 0 else self._oracle.models[question.model]
        for row in (bad if question.rows is None else question.rows[bad]).tolist():
            reason = "the objective or its gradient is not finite"
            self.lost.setdefault(row, Lost(batch.ids[row], self.setting.step, name, reason))
        bad = bad.to(answer.values.device)
        return Answer(answer.values.index_fill(0, bad, 0), answer.gradient.index_fill(0, bad, 0))
