"""What a network of the zoo is worth."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gauntlet.pipeline.models.zoo import weights
from gauntlet.pipeline.progress import Silent
from gauntlet.pipeline.training.zoo import evaluate
from gauntlet.pipeline.training.zoo.pool import TEST, open_pool
from tests.toys.faces import small_pool


def test_evaluation_pairs(tmp_path: Path) -> None:
    pool = small_pool(tmp_path, TEST, 12, 3)
    pairs = evaluate.draw_pairs(pool, folds=3, same=50)
    assert pairs.same.reshape(3, 2, 50).sum(2).tolist() == [[50, 0]] * 3
    # No person is in two folds, no picture is paired with itself.
    for fold in range(3):
        people = torch.cat((pairs.first, pairs.second))[:, 0][torch.cat((pairs.fold,) * 2) == fold]
        assert set(people.tolist()) == set(range(4 * fold, 4 * fold + 4))
    assert not (pairs.first == pairs.second).all(1).any()
    with pytest.raises(ValueError, match="7 folds need 14 people"):
        evaluate.draw_pairs(pool, folds=7, same=2)


def test_a_network_that_sees_all_separates_people(tmp_path: Path) -> None:
    pool = small_pool(tmp_path, TEST, 40, 3)
    # Mean colours of a 6 x 6 grid: what the made-up renderer makes people of.
    seeing = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(6), torch.nn.Flatten())
    report = evaluate.evaluate(seeing, pool, folds=4, same=30, attacked=20)
    assert report.accuracy > 0.97
    assert report.clean_rate < 0.1
    assert report.white_box >= report.clean_rate


@pytest.mark.slow
def test_what_was_measured_is_found_again(tmp_path: Path) -> None:
    pool = open_pool(
        tmp_path, first=TEST, identities=evaluate.IDENTITIES, shots=evaluate.SHOTS,
        progress=Silent(),
    )  # fmt: skip
    for name in ("a1",):
        own = weights.metadata(name)
        found = evaluate.evaluate(weights.load(name), pool)
        assert found.fingerprint == own["fingerprint"]
        for value, quantity in (
            (found.accuracy, "accuracy"), (found.threshold, "threshold"),
            (found.clean_rate, "clean_rate"), (found.white_box, "white_box"),
        ):  # fmt: skip
            # Last bits differ between machines and numbers of threads, and with them a few pairs.
            assert value == pytest.approx(float(own[quantity]), abs=0.012), (name, quantity)
