"""What a rehearsal counts is what surrogates are asked for: real networks count along."""

import pytest
import torch
from torch import nn

from gauntlet.pipeline.attacks.loop import run
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.models.description import Description
from gauntlet.pipeline.models.model import Model
from gauntlet.pipeline.oracle.in_process import InProcessOracle
from gauntlet.pipeline.run.rehearsal import passes, rehearsed, stand_in


class Counting(nn.Module):
    def __init__(self, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 3))
        self.rows = 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.rows += len(images)
        found: torch.Tensor = self.net(images)
        return found


@pytest.mark.parametrize(
    "fields",
    [
        {"base": "i"},
        {"base": "pgd-di-ti-mi", "combine": "rgea"},
        {"base": "ni-si", "combine": "mgda"},
        {"base": "vr", "combine": "ens-logits"},
        {"base": "mi", "combine": "svre"},
        {"base": "di", "combine": "svre", "options": {"svre": {"draws": "separate"}}},
        {"base": "rap-di", "combine": "ens", "steps": 8},
        {"base": "ir", "options": {"ir": {"sets": 3, "cells": 2, "grid": 2}}},
        {"base": "mi", "surrogates": ["s1"]},
    ],
    ids=lambda fields: "/".join(str(value) for value in fields.values()),
)
def test_a_rehearsal_counts_what_networks_are_asked(fields: dict[str, object]) -> None:
    attack = Attack.model_validate({"steps": 3, "epsilon": "8/255", **fields})
    networks = [Counting(seed) for seed in range(2)]
    models = [Model(net, Description(name=f"s{i}")) for i, net in enumerate(networks)]
    batch = stand_in(Goal.UNTARGETED, 16, (8, 8))
    run(attack, batch, InProcessOracle(models, rows_per_pass=1024))
    counted = passes(attack, ["s0", "s1"], Goal.UNTARGETED)
    # Parts that look at the clean image once, and chance where rules draw, are the difference.
    for net, name in zip(networks, counted, strict=True):
        assert net.rows / 16 == pytest.approx(counted[name], rel=0.12, abs=1e-9)


def test_masks_are_counted_once_for_a_batch_and_model() -> None:
    attack = Attack.model_validate({"base": "mi", "objective": "fi", "steps": 4, "epsilon": 0.1})
    assert passes(attack, ["s0"], Goal.UNTARGETED) == {"s0": 30 + 4}


def test_verification_is_rehearsed_with_what_its_goal_needs() -> None:
    attack = Attack.model_validate({"base": "mi", "steps": 4, "epsilon": 0.1})
    assert passes(attack, ["s0", "s1"], Goal.DODGING) == {"s0": 4, "s1": 4}


def test_the_loop_is_timed_for_all_its_updates_and_an_attack_without_any_costs_nothing() -> None:
    batch = stand_in(Goal.UNTARGETED, 4, (16, 16))
    attack = Attack.model_validate({"base": "mi", "steps": 30, "epsilon": 0.1})
    found = rehearsed(attack, ["s0"], batch)
    assert found.passes == {"s0": 30}
    assert found.seconds > 0
    none = attack.model_copy(update={"steps": 0})
    assert rehearsed(none, ["s0"], batch).seconds == 0
