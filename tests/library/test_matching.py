"""`evaluate` without a protocol: by a cosine, or by rank among the images of a gallery."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gauntlet import Attack, attack, evaluate

DRAWS = torch.Generator().manual_seed(4)
FIRST, SECOND, CROWD = (torch.rand(n, 3, 4, 4, generator=DRAWS) for n in (5, 5, 30))


def net(seed: int) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(48, 6)).eval()


def cosines(images: Tensor, others: Tensor, seed: int = 0) -> Tensor:
    """Return (B, G) in float64."""
    one, other = (
        nn.functional.normalize(net(seed)(x).detach().double(), dim=1) for x in (images, others)
    )
    return one @ other.T


def test_impersonation_by_cosine() -> None:
    recipe = Attack(base="mi", combine="rgea", epsilon="48/255", steps=10)
    changed = attack([net(1), net(0)], FIRST, SECOND, recipe, goal="impersonation")
    found = evaluate([net(0)], FIRST, SECOND, changed, goal="impersonation", match=0.9)
    assert found["task"].eq("embedding").all()
    scores = cosines(changed, SECOND).diagonal()
    assert found["score"].tolist() == pytest.approx(scores.tolist(), abs=1e-6)
    assert found["success"].tolist() == (scores > 0.9).double().tolist()
    assert found["threshold"].eq(0.9).all()
    assert found["threshold_rule"].eq("given").all()
    assert found["rank"].isna().all()
    assert (found["score"] > found["clean_score"]).all()


@pytest.mark.parametrize("goal", ["impersonation", "dodging"])
def test_by_rank_the_second_image_is_not_compared_with_itself(goal: str) -> None:
    changed = (FIRST + SECOND) / 2
    gallery = torch.cat([CROWD, SECOND])
    found = evaluate([net(0)], FIRST, SECOND, changed, goal=goal, match=(2, gallery))
    every, own = cosines(changed, gallery), cosines(changed, SECOND).diagonal()
    assert found["threshold_rule"].isna().all()
    for row in range(5):
        others = torch.cat([every[row, : 30 + row], every[row, 31 + row :]])
        ahead = int((others > own[row]).sum())
        assert found["rank"][row] == 1 + ahead
        assert found["success"][row] == (ahead < 2 if goal == "impersonation" else ahead >= 2)
        assert found["threshold"][row] == pytest.approx(others.topk(2).values[1].item())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"match": 1.0}, "match must be a cosine between -1 and 1, got 1.0"),
        ({"match": (0, CROWD)}, "match: a rank is 1 or more, got 0"),
        ({"match": (31, CROWD)}, "rank 31 needs as many images beside .* '0', and there are 30"),
        ({"match": (1, CROWD * 255)}, "match, gallery must be in"),
        ({"match": 0.5, "threshold": 0.3}, "match takes the place of threshold, pairs and rules"),
        ({"match": 0.5, "rules": {"far": 0.1}}, "match takes the place of threshold, pairs"),
        ({"match": 0.5, "goal": "untargeted"}, "classifiers have no embeddings to compare"),
    ],
)
def test_bad_input(given: dict[str, Any], message: str) -> None:
    call = {"goal": "dodging"} | given
    labels = torch.zeros(5, dtype=torch.int64) if call["goal"] == "untargeted" else SECOND
    with pytest.raises(ValueError, match=message):
        evaluate([net(0)], FIRST, labels, FIRST, **call)
