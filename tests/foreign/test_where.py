"""A foreign attack is carried out where it can be, and refused elsewhere: never passed over."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import gauntlet
from gauntlet.actors.launch import foresee
from gauntlet.jobs.cli.moved import moved
from gauntlet.jobs.spec.overrides import Override
from gauntlet.pipeline.attacks.loop import run
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.run.rehearsal import Prompter, passes, stand_in
from tests.toys.jobs import attacks, network, plan

FOREIGN = [Attack(source="torchattacks:PGD"), Attack(images="theirs")]
THEIRS = attacks('  - {name: theirs, source: "tests.toys.theirs:fgsm"}')


@pytest.mark.parametrize("attack", FOREIGN, ids=["source", "images"])
def test_tensors_are_attacked_by_parts_only(attack: Attack) -> None:
    images, labels = torch.rand(2, 3, 8, 8), torch.zeros(2, dtype=torch.int64)
    for call in (gauntlet.attack, gauntlet.gradient_cosines):
        with pytest.raises(ValueError, match="is foreign: only a run carries it out"):
            call([network(0)], images, labels, attack)


@pytest.mark.parametrize("attack", FOREIGN, ids=["source", "images"])
def test_the_loop_never_passes_clean_images_for_a_foreign_result(attack: Attack) -> None:
    batch = stand_in(Goal.UNTARGETED, 2, (8, 8))
    with pytest.raises(ValueError, match="is foreign: the loop has no parts of it"):
        run(attack, batch, Prompter(["s0"], batch))
    assert passes(attack, ["s0"], batch.goal) == {"s0": 0}


def test_a_run_cannot_be_moved_to_pinned_surrogates(tmp_path: Path) -> None:
    begun = plan(tmp_path, THEIRS)
    assert moved(begun, [Override.parse("resources.placement=packed")])
    with pytest.raises(BadInput, match="'theirs' needs its surrogates in one process"):
        moved(begun, [Override.parse("resources.placement=pinned")])


def test_the_automatic_choice_is_never_pinned(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        words = foresee(plan(tmp_path, THEIRS, ("in-process", "auto")), None)
    finally:
        torch.set_num_threads(before)
    assert "packed: a foreign attack needs its surrogates in one process" in words
