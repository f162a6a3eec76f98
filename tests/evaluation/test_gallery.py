"""Where a victim stands in a gallery: by hand, with ties, whatever else is in the batch."""

from __future__ import annotations

import numpy as np
import pytest

from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.evaluation.gallery import Gallery, Standing
from gauntlet.pipeline.evaluation.verdict import cosine

PLANE = np.asarray([[1, 0], [1, 1], [0, 1], [-1, 0]], dtype=np.float32)
"""Directions of 0, 45, 90 and 180 degrees."""


def gallery(images: np.ndarray, rank: int = 1, victim: int | None = None) -> Gallery:
    victims = {} if victim is None else {"x": victim}
    shows = np.arange(len(images), dtype=np.int64)
    return Gallery(rank, shows, victims, {"t": images.astype(np.float32)})


def stand(found: Gallery, image: list[float], victim: list[float], goal: Goal) -> Standing:
    one, other = (np.asarray([[point]], dtype=np.float32) for point in (image, victim))
    return found.standing("t", ["x"], one, other, goal)


@pytest.mark.parametrize("goal", [Goal.IMPERSONATION, Goal.DODGING])
@pytest.mark.parametrize(
    ("image", "rank", "place", "bar"),
    [
        ([3, 0], 1, 2, 1.0),  # on the first of the others, the victim is 10 degrees off
        ([0.9848, 0.1736], 1, 1, 0.9848),
        ([0, 1], 1, 3, 1.0),
        ([0, 1], 2, 3, 0.7071),
        ([-1, -0.1], 1, 5, 0.995),
        ([-1, -0.1], 3, 5, -0.7740),
    ],
)
def test_the_rank_and_the_bar_are_those_of_the_cosines(
    goal: Goal, image: list[float], rank: int, place: int, bar: float
) -> None:
    found = stand(gallery(PLANE, rank), image, [0.9848, 0.1736], goal)
    assert found.rank.tolist() == [[place]]
    assert found.threshold.item() == pytest.approx(bar, abs=1e-3)


def test_ties_count_against_the_attacker() -> None:
    images = np.asarray([[1, 2], [1, 2], [-1, 0]])
    twin = gallery(images)  # the victim's embedding is there twice, under other names
    near = stand(twin, [1, 1], [1, 2], Goal.IMPERSONATION)
    assert near.rank.item() == 3
    assert near.threshold.item() == cosine(np.asarray([1.0, 1]), np.asarray([1.0, 2]))
    assert stand(twin, [1, 1], [1, 2], Goal.DODGING).rank.item() == 1


def test_the_victim_s_own_images_are_not_compared_with_it() -> None:
    assert stand(gallery(PLANE), [1, 0], [1, 0], Goal.IMPERSONATION).rank.item() == 2
    own = gallery(PLANE, victim=0)
    found = stand(own, [1, 0], [1, 0], Goal.IMPERSONATION)
    assert found.rank.item() == 1
    assert found.threshold.item() == pytest.approx(0.7071, abs=1e-4)
    assert own.theirs("x").tolist() == [False, True, True, True]


def test_a_zero_embedding_has_cosine_zero() -> None:
    images = np.asarray([[0, 0], [-1, 0]])
    found = stand(gallery(images), [1, 0], [0, 1], Goal.IMPERSONATION)
    assert found.rank.item() == 2  # 0 ties with 0
    assert found.threshold.item() == 0


@pytest.mark.parametrize("goal", [Goal.IMPERSONATION, Goal.DODGING])
@pytest.mark.parametrize("rank", [1, 7])
def test_every_number_is_that_of_all_cosines_in_double_precision(goal: Goal, rank: int) -> None:
    draws = np.random.default_rng(3)
    shared = draws.normal(size=40)  # alike, as embeddings of one encoder are: many near ties
    images = (shared + 0.02 * draws.normal(size=(300, 40))).astype(np.float32)
    outputs = (shared + 0.02 * draws.normal(size=(2, 5, 40))).astype(np.float32)
    references = outputs[:, ::-1] + images[:5]
    ids = [f"e{row}" for row in range(5)]
    shows, victims = np.arange(300, dtype=np.int64) // 3, {"e1": 4, "e3": 99}
    whole = Gallery(rank, shows, victims, {"t": images})
    found = whole.standing("t", ids, outputs, references, goal)
    for row in range(2):
        for column, example in enumerate(ids):
            cosines = cosine(outputs[row, column], images)[shows != victims.get(example, -1)]
            score = cosine(outputs[row, column], references[row, column])
            ahead = cosines >= score if goal is Goal.IMPERSONATION else cosines > score
            assert found.rank[row, column] == 1 + ahead.sum()
            assert found.threshold[row, column] == np.sort(cosines)[-rank]
    alone = whole.standing("t", ids[2:3], outputs[:, 2:3], references[:, 2:3], goal)
    assert (alone.threshold == found.threshold[:, 2:3]).all()
