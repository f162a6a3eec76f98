"""Attacks rehearsed without a model: how often each surrogate is asked, and what the loop costs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gauntlet.pipeline.attacks.loop import run
from gauntlet.pipeline.attacks.messages import Answer, Question, Setting
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.attacks.surgery.operated import Operated
from gauntlet.pipeline.attacks.surrogate import Known
from gauntlet.pipeline.batch import Batch, Goal
from gauntlet.pipeline.models.model import Model
from gauntlet.pipeline.oracle.preparations import Preparations

EXAMPLES, SIDE = 16, 8
"""Examples and pixels a side of a rehearsal that counts: rules may ask each model about some."""
TIMED = 3
"""Updates of a rehearsal that is timed."""
CLASSES = 2


@dataclass(frozen=True)
class Rehearsed:
    """What an attack asks for.

    Attributes:
        passes: forward and backward passes of a whole batch, of each surrogate, by name.
        seconds: of the loop itself, for one batch.
    """

    passes: Mapping[str, float]
    seconds: float = 0.0


class Prompter:
    """An oracle without models: its answers are ready, and it counts what they would cost.

    Views make a pass as many as they have copies, penalties as they say. What a surrogate computes
    beside the passes, and that some objectives stop at a layer, is not counted; nor that outputs
    which are fused go forward twice where their views do not fit into one pass.
    """

    def __init__(self, models: Sequence[str], batch: Batch) -> None:
        self._models, self._examples = tuple(models), len(batch)
        draws = torch.Generator().manual_seed(0)
        like = batch.images
        # Rules do their full work only on gradients that differ.
        self._gradients = [
            torch.randn(like.shape, generator=draws, dtype=like.dtype).to(like.device)
            for _ in self._models
        ]
        self._prepared: set[tuple[int, int]] = set()
        self.passes = dict.fromkeys(self._models, 0.0)

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the surrogates."""
        return self._models

    def gradients(self, setting: Setting, questions: Sequence[Question]) -> list[Answer]:
        """Return gradients that no model has made."""
        query = setting.query
        each = len(query.copies) * (1.0 if query.penalty is None else query.penalty.passes)
        self._count(setting, questions, each)
        return [
            Answer(q.points.new_ones(len(q.points)), self._gradients[q.model][: len(q.points)])
            for q in questions
        ]

    def outputs(self, setting: Setting, questions: Sequence[Question]) -> list[Tensor]:
        """Return outputs that no model has made, (copies * R, C)."""
        copies = len(setting.query.copies)
        self._count(setting, questions, copies / 2)
        return [q.points.new_ones(copies * len(q.points), CLASSES) for q in questions]

    def pullback(
        self, setting: Setting, questions: Sequence[Question], cotangents: Sequence[Tensor]
    ) -> list[Tensor]:
        """Return gradients that no model has made."""
        self._count(setting, questions, len(setting.query.copies) / 2)
        return [self._gradients[question.model] for question in questions]

    def known(self, setting: Setting, model: int) -> Known:
        """Return what an objective on fused outputs needs to know."""
        return Preparations(remember=1).known(setting, Operated(Model(torch.nn.Flatten()), ()))

    def _count(self, setting: Setting, questions: Sequence[Question], each: float) -> None:
        for question in questions:
            name = self._models[question.model]
            self.passes[name] += each * len(question.points) / self._examples
            key = (question.model, id(setting.query.objective))
            if key not in self._prepared:
                self._prepared.add(key)
                self.passes[name] += setting.query.objective.passes_before


def passes(attack: Attack, models: Sequence[str], goal: Goal) -> Mapping[str, float]:
    """Return how many passes of a whole batch an attack asks of each surrogate, by name.

    The loop runs, on a few tiny images, and what it asks is counted: no part says it twice.
    What a foreign attack asks nobody here counts.
    """
    return _rehearsed(attack, models, stand_in(goal, EXAMPLES, (SIDE, SIDE))).passes


def uncounted(attacks: Sequence[Attack]) -> list[str]:
    """Return the labels of attacks that ask surrogates as only their libraries know."""
    return [attack.label for attack in attacks if attack.source is not None]


def rehearsed(attack: Attack, models: Sequence[str], batch: Batch) -> Rehearsed:
    """Return what an attack asks for, with the seconds of its loop on a batch of the true size.

    Only the first updates are timed, where and with as many threads as this process works.
    """
    count = passes(attack, models, batch.goal)
    short = attack.model_copy(update={"steps": min(attack.steps, TIMED), "step_size": attack.alpha})
    timed = _rehearsed(short, models, batch)
    asked = sum(timed.passes.values())
    return Rehearsed(count, timed.seconds * sum(count.values()) / asked if asked else 0.0)


def stand_in(goal: Goal, examples: int, size: tuple[int, int]) -> Batch:
    """Return random images of a size (height, width) with what a goal needs."""
    draws = torch.Generator().manual_seed(0)

    def images() -> Tensor:
        return torch.rand((examples, 3, *size), generator=draws)

    return Batch(
        ids=tuple(map(str, range(examples))),
        images=images(),
        goal=goal,
        labels=torch.zeros(examples, dtype=torch.int64),
        wanted=torch.ones(examples, dtype=torch.int64),
        references=images(),
    )


def _rehearsed(attack: Attack, models: Sequence[str], batch: Batch) -> Rehearsed:
    if attack.foreign is not None:
        return Rehearsed(dict.fromkeys(models, 0.0))
    oracle = Prompter(models, batch)
    started = time.perf_counter()
    run(attack, batch, oracle)
    return Rehearsed(oracle.passes, time.perf_counter() - started)
