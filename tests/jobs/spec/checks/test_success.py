"""Jobs of embedding match that cannot be meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gauntlet.pipeline.problems import BadInput
from tests.toys.embeddings import job, plan, write_people

GALLERY = {"source": "images", "root": "people"}


def problems(root: Path, goal: str = "impersonation", **changes: Any) -> list[str]:
    with pytest.raises(BadInput) as caught:
        plan(root, goal, **changes)
    return [str(problem).removeprefix("job: ") for problem in caught.value.problems]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_people(tmp_path / "people", people=3)
    return tmp_path


@pytest.mark.parametrize(
    ("success", "message"),
    [
        ({"cosine": 1.0}, "success.cosine: expected less than 1, got 1.0"),
        ({"cosine": -1}, "success.cosine: expected more than -1, got -1"),
        ({}, "success: expected one of `cosine` and `rank`, got neither"),
        (
            {"cosine": 0.5, "rank": 1, "gallery": GALLERY},
            "success: expected one of `cosine` and `rank`, got both",
        ),
        ({"rank": 1}, "success: `rank` needs `gallery`: write `{rank: 1, gallery: {source: ...}}`"),
        (
            {"cosine": 0.5, "gallery": GALLERY},
            "success: `gallery` needs `rank`: write `{rank: 1, gallery: {source: ...}}`",
        ),
        (
            {"rank": 5, "gallery": GALLERY},
            "success.gallery: rank 5 needs as many images of others, and there are 4 beside those "
            "of the victim of 'p0/0.png|",
        ),
        (
            {"rank": 1, "gallery": {"source": "images", "root": "nobody"}},
            "success.gallery.root: no such folder: ",
        ),
        ({"rank": 1, "gallery": {"source": "imags"}}, "success.gallery.source: "),
    ],
)
def test_a_rule_that_is_none(root: Path, success: Any, message: str) -> None:
    (problem,) = problems(root, success=success)
    assert problem.startswith(message)


def test_an_empty_gallery(root: Path) -> None:
    (root / "empty").mkdir()
    gallery = {"source": "images", "root": "empty"}
    (problem,) = problems(root, success={"rank": 1, "gallery": gallery})
    assert problem.startswith("success.gallery.root: no image files: ")


def test_a_rule_belongs_to_embedding_match_and_thresholds_to_verification(root: Path) -> None:
    (missing,) = problems(root, success=None)
    assert missing.startswith("task: embedding match needs to know what success is: ")
    task = {"kind": "verification", "goal": "impersonation"}
    targets = [job(root)["targets"][0] | {"threshold": 0.5}]
    (other,) = problems(root, task=task, targets=targets)
    assert other == "success: `success` belongs to embedding match; this task is verification"
    for rules in ({"far": 0.01}, ["accuracy", {"far": 0.01}]):
        assert sorted(problems(root, targets=targets, threshold=rules)) == [
            "targets[0].threshold: `threshold` belongs to verification; this task is embedding",
            "threshold: `threshold` belongs to verification; this task is embedding",
        ]


def test_a_classifier_and_a_goal_of_classes_are_refused(root: Path) -> None:
    (model,) = problems(root, targets=["quickstart/wide"])
    assert model.endswith("quickstart/wide is a classification model, the job's task is embedding")
    (goal,) = problems(root, "targeted")
    assert goal == (
        "task.goal: 'targeted' is no goal of embedding; expected 'impersonation' or 'dodging'"
    )


def test_an_image_taken_away_from_itself_needs_a_start(root: Path) -> None:
    attacks = [{"base": "mi", "steps": 2}, {"base": "pgd-mi", "steps": 2}]
    (problem,) = problems(root, "dodging", attacks=attacks)
    assert problem == (
        "attacks[0].base: 'cosine' has no gradient at an image that is to be taken away from "
        "itself: add 'pgd' to the base"
    )
    plan(root, attacks=attacks)
