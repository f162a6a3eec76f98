"""Foreign images brought into the ball: what they had left is the larger of ball and [0, 1]."""

from __future__ import annotations

import pytest
import torch

from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Batch, Goal
from gauntlet.pipeline.foreign.outcome import brought

EPSILON = 8 / 255


def test_excess_is_that_of_the_ball_or_of_the_range() -> None:
    clean = torch.tensor([0.0, 1.0, 0.5, 0.5])[:, None, None, None].repeat(1, 3, 2, 2)
    found = clean.clone()
    found[0, 0, 0, 0] = -3 / 255  # in the ball, below black
    found[1, 0, 0, 0] = 1 + 10 / 255  # out of both, further out of the range
    found[2, 0, 0, 0] += 12 / 255  # out of the ball
    found[3] += EPSILON  # at its end
    theirs = Attack(name="theirs", source="theirs:attack", epsilon=EPSILON)
    batch = Batch(tuple("abcd"), clean, Goal.UNTARGETED, labels=torch.arange(4))
    came = brought(theirs, batch, found, quantize=False, missing={})
    assert (came.excess * 255).tolist() == pytest.approx([3, 10, 4, 0], abs=1e-4)
    assert not came.lost
    delta = (came.images - clean).abs().flatten(1).amax(1)
    assert (delta * 255).tolist() == pytest.approx([0, 0, 8, 8], abs=1e-4)
