"""Surrogates in half precision, and models without weights, in a run."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gauntlet import Attack, Batch, Goal
from gauntlet.pipeline.interactions import InteractionSpec
from gauntlet.pipeline.models.description import Description
from gauntlet.pipeline.models.model import Model
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.run.local import LocalSurrogates
from gauntlet.pipeline.run.rows.interactions import InteractionRequest
from gauntlet.pipeline.run.showing import Showing
from tests.toys.runs import carry_out, plan, verdicts
from tests.toys.surrogates import class_batch, images

ATTACK = Attack(base="mi", steps=3, epsilon=2 / 255)


class Rule(nn.Module):
    """Four classes, by the brightness of the four quarters of the height."""

    def forward(self, inputs: Tensor) -> Tensor:
        return 20 * inputs.unflatten(2, (4, -1)).mean((1, 3, 4))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_the_surrogates_alone(tmp_path, dtype):
    pixels = images(4, shape=(3, 32, 32)).float()
    batch = Batch(tuple("abcd"), pixels, Goal.UNTARGETED, labels=torch.arange(4))
    found = {}
    for name in ("float32", dtype):
        held = LocalSurrogates(plan(tmp_path, resources={"dtype": name, "threads": 1}))
        found[name] = held.attack(ATTACK, batch), held.cards
        kinds = {str(p.dtype) for model in held.models.values() for p in model.parameters()}
        assert kinds == {f"torch.{name}"}
    (plain, cards), (half, half_cards) = found.values()
    # It is the same model to everyone, and batch norm is folded as exactly as in float32.
    assert half_cards == cards
    assert all(card.folded for card in half_cards.values())
    assert half.images.dtype == half.trace.values.dtype == torch.float32
    assert half.trace.linf.max() <= ATTACK.epsilon + 1e-6
    assert torch.equal((half.images * 255).round() / 255, half.images)
    assert (half.images == plain.images).float().mean() > (0.95 if dtype == "float16" else 0.8)


@pytest.mark.slow
@pytest.mark.parametrize("placement", ["in-process", "packed", "pinned"])
def test_every_placement_runs_in_half_precision(tmp_path, placement):
    carry_out(tmp_path, placement, resources={"dtype": "float16"}, select={"limit": 8})
    frame = verdicts(tmp_path / "run")
    assert len(frame) == 2 * 2 * 8
    assert frame["linf"].max() <= 8.001


def test_what_float16_cannot_do_is_found_by_check(tmp_path):
    attacks = [{"base": "ir-closed", "steps": 2}, {"base": "mi"}]
    evaluate = {"interactions": {"grid": 4, "closed_form": True}}
    for dtype in ("float32", "bfloat16"):
        plan(tmp_path, attacks=attacks, evaluate=evaluate, resources={"dtype": dtype})
    with pytest.raises(BadInput) as caught:
        plan(tmp_path, attacks=attacks, evaluate=evaluate, resources={"dtype": "float16"})
    lines = [str(problem) for problem in caught.value.problems]
    assert ["attacks[0].base: 'ir-closed' diff" in line for line in lines] == [True, False]
    assert "evaluate.interactions.closed_form: differentiates a surrogate twice" in lines[1]


def test_a_model_without_weights_judges_is_attacked_and_is_measured():
    model = Model(Rule(), Description(name="rule"))
    batch = class_batch(images(4).float())
    shown = Showing(batch.images, batch.ids, "clean", 0).of(model)
    assert shown.dtype == np.float32
    np.testing.assert_array_equal(shown[0], Rule()(batch.images).numpy())
    spec = InteractionSpec(grid=4, utility="margin")
    moved = (batch.images + 1 / 255).clamp(0, 1)
    measured = InteractionRequest(batch, moved, spec, seed=0, rows_per_pass=256).of(model)
    assert measured.finite.all()


def test_rules_are_the_same_model_only_where_they_come_from_the_same_place():
    def made(source: str) -> str:
        return Model(Rule(), spec=ModelSpec(name="rule", source=source)).fingerprint

    assert made("import:mine:bright") == made("import:mine:bright")
    assert made("import:mine:bright") != made("import:mine:dark")
