"""Images without a list: from themselves, or towards another person's, drawn by hash."""

from __future__ import annotations

from pathlib import Path

import pytest

from gauntlet.pipeline.batch import Goal
from tests.toys.datasets import grow, opened, problems


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return grow(tmp_path, *(f"p{person}/{shot}.png" for person in range(6) for shot in range(3)))


def test_dodging_takes_each_image_away_from_itself(root: Path) -> None:
    found = opened(root, Goal.DODGING, source="images", root=".")
    assert found.ids[:2] == ("p0/0.png|p0/0.png", "p0/1.png|p0/1.png")
    assert (found.listing.first == found.listing.second).all()
    batch = found.load([0, 1]).batch
    assert batch is not None
    assert batch.own_reference is not None
    assert batch.own_reference.all()


def test_impersonation_draws_another_person_s_image(root: Path) -> None:
    ids = opened(root, Goal.IMPERSONATION, source="images", root=".").ids
    pairs = [example.split("|") for example in ids]
    assert [first for first, _ in pairs] == sorted(first for first, _ in pairs)
    assert len(pairs) == 18
    assert all(first.split("/")[0] != second.split("/")[0] for first, second in pairs)
    assert len({second for _, second in pairs}) > 6
    assert opened(root, Goal.IMPERSONATION, seed=5, source="images", root=".").ids == ids
    assert opened(root, Goal.IMPERSONATION, source="images", root=".", drawn=1).ids != ids


def test_without_sub_folders_every_image_is_somebody_else(tmp_path: Path) -> None:
    grow(tmp_path, "a.png", "b.png", "c.png")
    found = opened(tmp_path, Goal.IMPERSONATION, source="images", root=".")
    assert all(len({*example.split("|")}) == 2 for example in found.ids)
    assert found.listing.people is None


def test_bad_input(root: Path) -> None:
    (root / "empty").mkdir()
    (where,) = problems(root, Goal.IMPERSONATION, source="images", root="p0/nowhere")
    assert where.startswith("data.root: no such folder: ")
    (none,) = problems(root, Goal.DODGING, source="images", root="empty")
    assert none.startswith("data.root: no image files: ")
    grow(root / "one", "x/1.png", "x/2.png")
    (alone,) = problems(root, Goal.IMPERSONATION, source="images", root="one")
    assert alone.endswith("has one person, and nobody to be taken for")
    assert problems(root, Goal.DODGING, source="images", root="one") == []
