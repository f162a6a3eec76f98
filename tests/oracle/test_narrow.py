"""Questions that are asked in pieces have the answers of whole ones."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from gauntlet.pipeline.attacks.messages import Answer, Question, Setting
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.oracle.narrow import NarrowOracle
from tests.toys.surrogates import SmallNet, class_batch, images, oracle


class Watched:
    """An oracle, and how many points it was asked about at a time."""

    def __init__(self) -> None:
        self.whole = oracle(SmallNet(0))
        self.models, self.known = self.whole.models, self.whole.known
        self.outputs, self.pullback = self.whole.outputs, self.whole.pullback
        self.sizes: list[int] = []

    def gradients(self, setting: Setting, questions: Sequence[Question]) -> list[Answer]:
        self.sizes += [len(question.points) for question in questions]
        return self.whole.gradients(setting, questions)


@pytest.mark.parametrize(("base", "copies"), [("i", 1), ("si", 5), ("di", 1)])
@pytest.mark.parametrize("rows", [None, torch.tensor([4, 1, 0])])
def test_pieces_have_the_answers_of_the_whole(
    base: str, copies: int, rows: torch.Tensor | None
) -> None:
    batch, attack = class_batch(images(6)), Attack(base=base)
    query = attack.method(batch.goal, batch.images[0].numel()).query
    setting = Setting(batch, query, 0, attack.label, step=1)
    count = 6 if rows is None else len(rows)
    asked = [Question(0, images(count, seed=5), rows)]
    watched = Watched()
    whole, narrow = watched.whole, NarrowOracle(watched, 2 * copies)
    (expected,), outputs = whole.gradients(setting, asked), whole.outputs(setting, asked)
    weights = torch.linspace(-1, 1, outputs[0].numel(), dtype=outputs[0].dtype)
    cotangent = [weights.reshape(outputs[0].shape)]
    pulled = whole.pullback(setting, asked, cotangent)
    (found,) = narrow.gradients(setting, asked)
    assert sum(watched.sizes) == count
    assert max(watched.sizes) == 2
    assert torch.allclose(found.values, expected.values)
    assert torch.allclose(found.gradient, expected.gradient)
    assert torch.allclose(narrow.outputs(setting, asked)[0], outputs[0])
    assert torch.allclose(narrow.pullback(setting, asked, cotangent)[0], pulled[0])
