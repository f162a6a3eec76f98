"""Images and ids that do not fit each other are named for what they are."""

from __future__ import annotations

import pytest
import torch

from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.library.images import posed

IMAGES, LABELS = torch.rand(4, 3, 5, 6), torch.tensor([0, 1, 2, 3])


@pytest.mark.parametrize("images", [IMAGES[0], IMAGES.permute(0, 2, 3, 1)])
def test_the_shape_that_is_wanted_is_told(images: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"images must have shape \(B, 3, H, W\), got \("):
        posed(images, LABELS, Goal.UNTARGETED, None)


def test_a_wrong_number_of_ids_is_their_fault() -> None:
    with pytest.raises(ValueError, match="ids has 1 names for 4 images"):
        posed(IMAGES, LABELS, Goal.UNTARGETED, ["x"])
