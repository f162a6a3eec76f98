"""Runs of embedding match: by a cosine and by rank, from files to rows, in every placement."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from gauntlet.actors.launch import launch
from gauntlet.jobs.spec.loading import open_job
from gauntlet.pipeline import results, user_cache
from gauntlet.pipeline.models.sources.permission import granted
from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.progress import Silent
from gauntlet.pipeline.results import RunFolder
from gauntlet.pipeline.results.opened import open_run
from gauntlet.pipeline.run.attempt import attempt
from gauntlet.pipeline.run.local import LocalEngine
from gauntlet.pipeline.run.plan import Plan
from gauntlet.pipeline.run.verifying.checking import check
from gauntlet.pipeline.run.verifying.sampling import recompute
from tests.toys.embeddings import job, photograph, plan, seen, write_people
from tests.toys.runs import verdicts

BY_RANK: dict[str, Any] = {"rank": 2, "gallery": {"source": "images", "root": "crowd"}}


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAUNTLET_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_people(tmp_path / "people")
    shutil.copytree(tmp_path / "people", tmp_path / "crowd")  # the victims are in it, and others
    write_people(tmp_path / "crowd", people=4, first=20)
    return tmp_path


def carried_out(made: Plan, folder: Path, resume: bool = False) -> pd.DataFrame:
    attempt(made, str(folder), lambda _: LocalEngine(made, permission=granted()), resume=resume)
    return verdicts(folder)


def ends(root: Path, found: pd.DataFrame) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the first and second images of the pairs of some rows."""
    pairs = [example.split("|") for example in found["example"]]
    first, second = zip(*pairs, strict=True)
    return tuple(  # type: ignore[return-value]
        torch.stack([photograph(root / "people" / name) for name in side])
        for side in (first, second)
    )


@pytest.mark.parametrize("goal", ["impersonation", "dodging"])
def test_success_by_cosine_is_on_its_side_of_the_cosine(root: Path, goal: str) -> None:
    bar = {"impersonation": 0.9, "dodging": 0.99}[goal]
    found = carried_out(plan(root, goal, success={"cosine": bar}), root / "run")
    first, second = ends(root, found)
    assert len(found) == 10
    assert found["task"].eq("embedding").all()
    label = found["attack"][0]
    adversarial = open_run(str(root / "run")).images(found["example"].tolist(), label)
    score = (seen(adversarial) * seen(second)).sum(1)
    before = (seen(first) * seen(second)).sum(1)
    assert found["score"].tolist() == pytest.approx(score.tolist(), abs=1e-6)
    assert found["clean_score"].tolist() == pytest.approx(before.tolist(), abs=1e-6)
    assert found["threshold"].eq(bar).all()
    assert found["threshold_rule"].eq("given").all()
    thresholds = results.read(str(root / "run"), "thresholds")
    columns = ["target", "threshold_rule", "headline", "threshold"]
    assert thresholds[columns].values.tolist() == [["t", "given", True, bar]]
    assert thresholds.drop(columns=columns).isna().all(axis=None)
    succeeds = found["score"] > bar if goal == "impersonation" else found["score"] < bar
    assert found["success"].tolist() == succeeds.astype(float).tolist()
    assert found["success"].mean() > 0
    right = found["clean_score"] <= bar if goal == "impersonation" else found["clean_score"] >= bar
    assert found["clean_correct"].tolist() == right.tolist()
    assert found[["clean_accepted", "rank", "prediction"]].isna().all(axis=None)
    closer = found["score"] - found["clean_score"]
    assert (closer.mean() > 0) == (goal == "impersonation")


@pytest.mark.parametrize("goal", ["impersonation", "dodging"])
def test_success_by_rank_is_that_of_the_people_of_the_gallery(root: Path, goal: str) -> None:
    found = carried_out(plan(root, goal, success=BY_RANK), root / "run")
    first, second = ends(root, found)
    adversarial = open_run(str(root / "run")).images(found["example"].tolist(), found["attack"][0])
    files = sorted((root / "crowd").glob("*/*.png"))
    crowd = seen(torch.stack([photograph(file) for file in files]))
    assert len(files) == 18
    for row, (_, entry) in enumerate(found.iterrows()):
        victim = entry["example"].split("|")[1].split("/")[0]
        others = crowd[[file.parent.name != victim for file in files]]
        assert len(others) == 16
        for images, column in ((adversarial, "success"), (first, "clean_success")):
            image = seen(images[row : row + 1])
            score, cosines = (image @ seen(second[row : row + 1]).T).item(), (others @ image[0])
            ahead = int((cosines > score).sum())  # no ties among random embeddings
            wins = ahead < 2 if goal == "impersonation" else ahead >= 2
            assert entry[column] == wins
            if column == "success":
                assert entry["rank"] == 1 + ahead
                assert entry["threshold"] == pytest.approx(cosines.topk(2).values[1].item())
            else:
                assert entry["clean_correct"] == (not wins)
    assert found["threshold_rule"].isna().all()
    assert results.read(str(root / "run"), "thresholds").empty
    won = (
        found["score"] > found["threshold"]
        if goal == "impersonation"
        else (found["score"] < found["threshold"])
    )
    assert found["success"].tolist() == won.astype(float).tolist()


@pytest.mark.parametrize("success", [{"cosine": 0.9}, BY_RANK])
def test_a_run_is_sound_and_computed_again_to_the_last_bit(
    root: Path, success: dict[str, Any]
) -> None:
    carried_out(plan(root, success=success), root / "run")
    folder = RunFolder(str(root / "run"))
    found = check(folder, Silent())
    assert found.problems == []
    assert found.rows["thresholds"] == (1 if "cosine" in success else 0)
    again = recompute(folder, found.sound, 2, 0, granted(), Silent())
    assert again.faults == []
    assert sum(unit.images for unit in again.units) > 0
    if "rank" in success:
        write_people(root / "crowd", people=1, first=30)
        with pytest.raises(BadInput, match="the images of the gallery are others than the run's"):
            recompute(folder, found.sound, 1, 0, granted(), Silent())


def test_embeddings_are_kept_and_a_changed_gallery_is_not_gone_on_with(root: Path) -> None:
    made = plan(root, success=BY_RANK)
    before = carried_out(made, root / "run")
    (entry,) = user_cache.folder("galleries").glob("*.npy")
    assert np.load(entry).shape == (18, 5)
    stamp = entry.stat().st_mtime_ns
    again = carried_out(made, root / "again")
    assert entry.stat().st_mtime_ns == stamp
    pd.testing.assert_frame_equal(before, again)
    entry.write_bytes(b"damaged")
    pd.testing.assert_frame_equal(before, carried_out(made, root / "damaged"))
    assert carried_out(made, root / "run", resume=True) is not None
    write_people(root / "crowd", people=1, first=30)
    with pytest.raises(BadInput, match="cannot resume: the images of the gallery are others"):
        carried_out(made, root / "run", resume=True)


def test_an_image_that_does_not_decode_is_no_part_of_the_gallery(root: Path) -> None:
    whole = carried_out(plan(root, success=BY_RANK), root / "whole")
    (root / "crowd" / "p20" / "no.png").write_bytes(b"no image")
    found = carried_out(plan(root, success=BY_RANK), root / "run")
    pd.testing.assert_frame_equal(whole, found)
    failures = results.read(str(root / "run"), "failures")
    (failure,) = failures[failures["stage"].eq("gallery")].to_dict("records")
    assert failure["example"] == "p20/no.png"
    assert failure["reason"].endswith("it is no part of the gallery")
    recorded = results.manifest(str(root / "run")).gallery
    assert recorded is not None
    assert recorded.images == 18


def test_steps_selection_and_a_random_defence_are_judged_in_the_gallery(root: Path) -> None:
    targets = job(root)["targets"]
    padded = {"like": "t", "name": "padded", "defence": "resize-pad", "repeats": 3}
    made = plan(
        root,
        success=BY_RANK,
        targets=[*targets, padded],
        select={"correct": "all"},
        evaluate={"steps": "all"},
    )
    found = carried_out(made, root / "run")
    assert sorted(found["step"].unique()) == [1, 2, 3]
    assert found["clean_correct"].all()
    random = found[found["target"].eq("padded")]
    assert random["repeats"].eq(3).all()
    assert random["rank"].between(1, 17).all()
    assert ((3 * random["success"]).round(6) % 1 == 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("goal", ["impersonation", "dodging"])
def test_bundled_networks_take_rendered_people_for_others_and_lose_them(
    tmp_path: Path, goal: str
) -> None:
    people = {"source": "rendered", "pairs": 200, "identities": 100}
    made = plan(
        tmp_path,
        goal,
        data=people | {"limit": 12},
        success={"rank": 1, "gallery": people | {"kind": "same"}},
        surrogates=["zoo/s1", "zoo/s2", "zoo/s3"],
        targets=["zoo/n1"],
        attacks=[{"base": "mi", "combine": "rgea", "epsilon": "16/255", "steps": 10}],
        resources={"placement": "in-process", "batch": 12},
    )
    found = carried_out(made, tmp_path / "run")
    assert found["clean_correct"].mean() > 0.7
    assert found["success"].mean() > found["clean_success"].mean() + 0.25


@pytest.mark.slow
@pytest.mark.parametrize("placement", ["packed", "pinned"])
def test_every_placement_has_the_same_rows(root: Path, placement: str) -> None:
    for success in ({"cosine": 0.9}, BY_RANK):
        here = root / f"here-{len(success)}"
        kept = here / "job.yaml"
        there = root / f"there-{len(success)}"
        reference = carried_out(plan(root, success=success), here)
        text = job(root, success=success)
        text["resources"] = {"placement": placement, "batch": 4, "threads": 1}
        kept.write_text(yaml.safe_dump(text))
        given = open_job(kept)
        launch(given.plan, str(there), permission=given.permission)
        found = verdicts(there)
        exact = ["example", "target", "success", "rank", "clean_correct", "linf"]
        pd.testing.assert_frame_equal(found[exact], reference[exact])
        columns = ["score", "threshold"]
        pd.testing.assert_frame_equal(found[columns], reference[columns], atol=1e-5, rtol=0)
