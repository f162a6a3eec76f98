"""An oracle lends its answers until the next question: nobody writes there or comes back later."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from gauntlet import Attack
from gauntlet.pipeline.attacks.loop import run
from gauntlet.pipeline.attacks.messages import Answer, Question, Setting
from gauntlet.pipeline.oracle import InProcessOracle
from tests.toys.surrogates import SmallNet, as_model, class_batch, images


class Lending(InProcessOracle):
    """Spoils its last answers when it is asked again, having looked whether they are untouched."""

    def __init__(self, models) -> None:
        super().__init__(models)
        self.lent: list[tuple[Answer, Answer]] = []
        self.taken_back = 0

    def gradients(self, setting: Setting, questions: Sequence[Question]) -> list[Answer]:
        self.take_back()
        answers = super().gradients(setting, questions)
        self.lent = [
            (answer, Answer(answer.values.clone(), answer.gradient.clone())) for answer in answers
        ]
        return answers

    def outputs(self, setting, questions):
        self.take_back()
        return super().outputs(setting, questions)

    def take_back(self) -> None:
        for answer, copy in self.lent:
            assert torch.equal(answer.values, copy.values)
            assert torch.equal(answer.gradient, copy.gradient)
            answer.values.fill_(torch.nan)
            answer.gradient.fill_(torch.nan)
            self.taken_back += 1
        self.lent = []


@pytest.mark.parametrize(
    "fields",
    [
        {"combine": "ens"},
        {"combine": "ens-l2", "options": {"ens-l2": {"unit": True}}},
        {"combine": "rgea", "base": "rap-ni", "options": {"rap": {"late_start": 0, "inner": 2}}},
        {"combine": "mgda"},
        {"combine": "svre", "options": {"svre": {"inner": 3}}},
        {"combine": "svre", "options": {"svre": {"inner": 3, "fusion": "logits", "biased": True}}},
        {
            "combine": "svre",
            "options": {"svre": {"inner": 3, "draws": "separate", "normalised": False}},
        },
        {"combine": "torchjd/upgrad"},
        {
            "combine": "torchjd/trimmedmean",
            "options": {"torchjd": {"arguments": {"trim_number": 1}}},
        },
        {"base": "i"},
        {"base": "pi"},
        {"base": "relaxed", "norm": "l2"},
    ],
    ids=str,
)
@pytest.mark.parametrize("k", [1, 3])
def test_an_attack_is_the_same_where_answers_are_lent_until_the_next_question(fields, k) -> None:
    if k == 1 and "trimmedmean" in str(fields):
        pytest.skip("nothing is left of one gradient that is trimmed")
    batch = class_batch(images(3))
    models = [as_model(SmallNet(seed), seed) for seed in range(k)]
    attack = Attack(steps=3, **{"base": "mi", **fields})
    kept, lent = [], []
    run(attack, batch, InProcessOracle(models), on_step=lambda t, points: kept.append(points))
    oracle = Lending(models)
    run(attack, batch, oracle, on_step=lambda t, points: lent.append(points))
    oracle.take_back()
    assert oracle.taken_back >= 3 * k
    assert not torch.equal(kept[-1], batch.images)
    assert torch.equal(torch.stack(lent), torch.stack(kept))
