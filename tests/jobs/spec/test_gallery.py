"""Targeted jobs whose attacks need an image of the wanted class."""

from __future__ import annotations

from pathlib import Path

import pytest

from gauntlet.actors.launch import launch
from gauntlet.jobs.spec.loading import load
from gauntlet.pipeline import results
from tests.toys.jobs import attacks, problems, write

TARGETED = ("goal: untargeted", "goal: targeted")
GALLERY = ("path: images.npz", "path: images.npz, references: gallery")
AA = '{base: mi, objective: aa, epsilon: 8/255, steps: 2, options: {aa: {layer: "1"}}}'


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (f"  - {{base: i}}\n  - {AA}", "attacks[1].objective"),
        (
            '  - {name: "{objective}", grid: {objective: [logit, aa]}}',
            "attacks[0].grid.objective[1]",
        ),
    ],
)
def test_aa_without_a_gallery_is_refused(tmp_path: Path, text: str, where: str) -> None:
    (line,) = problems(tmp_path, TARGETED, attacks(text))
    assert line.endswith(
        f"{where}: 'aa' needs an image of each wanted class: set `data.references: gallery`"
    )


def test_a_gallery_of_an_untargeted_job_is_refused(tmp_path: Path) -> None:
    assert problems(tmp_path, GALLERY) == [
        "job.yaml:3: data.references: has no effect with goal 'untargeted': remove it"
    ]


def test_aa_without_a_gallery_is_fine_where_it_needs_none(tmp_path: Path) -> None:
    text = '  - {base: pgd, objective: aa, options: {aa: {layer: "1"}}}'
    assert len(load(write(tmp_path, attacks(text))).attacks) == 1


def test_the_check_finds_the_empty_class_of_the_seed(tmp_path: Path) -> None:
    # 8 images of classes 0 to 4 in a source of 200: nearly every random wanted class is empty.
    data = "path: images.npz, references: gallery, wanted: random, classes: 200, limit: 1"
    found = [
        problems(tmp_path, TARGETED, ("path: images.npz", data), ("name: tiny", f"name: tiny\n{s}"))
        for s in ("seed: 0", "seed: 1")
    ]
    assert all("has no image in the source" in line for lines in found for line in lines)
    assert found[0] != found[1]


def test_a_targeted_aa_job_runs(tmp_path: Path) -> None:
    plan = load(write(tmp_path, TARGETED, GALLERY, attacks(f"  - {AA}")))
    outcome = launch(plan, str(tmp_path / "run"))
    assert outcome.units_failed == 0
    frame = results.read(str(tmp_path / "run"), "verdicts")
    assert frame["example"].nunique() == 8
