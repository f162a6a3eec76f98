from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from gauntlet.actors.launch import launch
from gauntlet.jobs.spec.loading import open_job
from gauntlet.pipeline import results
from gauntlet.pipeline.results import RunFolder
from gauntlet.pipeline.results.records import manifest
from tests.toys.jobs import attacks, problems, write

BOTH = attacks("  - {name: ours, base: mi, steps: 2}\n  - {name: theirs, images: theirs}")


@pytest.fixture
def made(tmp_path: Path) -> dict[str, np.ndarray]:
    """What an attack of ours makes of the tiny job's examples, by id."""
    path = write(tmp_path, attacks("  - {name: ours, base: mi, steps: 2}"))
    loaded = open_job(path)
    launch(loaded.plan, str(tmp_path / "first"), permission=loaded.permission)
    table = results.read(str(tmp_path / "first"), "examples")
    return {
        str(example): np.frombuffer(image, np.uint8).reshape(8, 8, 3)
        for example, image in zip(table.example, table.image, strict=True)
    }


def as_files(folder: Path, made: dict[str, np.ndarray]) -> str:
    (folder / "theirs").mkdir()
    for name, pixels in made.items():
        Image.fromarray(pixels).save(folder / "theirs" / f"{int(name.split('/')[1]):05d}.png")
    return "theirs"


def as_archive(folder: Path, made: dict[str, np.ndarray]) -> str:
    """Floats in [0, 1], channels first, in the order of the data."""
    pixels = np.stack([made[f"images/{index}"] for index in range(8)]).transpose(0, 3, 1, 2)
    np.savez(folder / "theirs.npz", images=pixels.astype(np.float32) / 255)
    return "theirs.npz"


def as_named_archive(folder: Path, made: dict[str, np.ndarray]) -> str:
    names = [*reversed(made)]
    np.savez(folder / "theirs.npz", images=np.stack([made[n] for n in names]), ids=names)
    return "theirs.npz"


def as_table(folder: Path, made: dict[str, np.ndarray]) -> str:
    """A run's own table of examples."""
    return "first/examples"


WAYS = (as_files, as_archive, as_named_archive, as_table)


@pytest.mark.parametrize("way", WAYS, ids=[way.__name__ for way in WAYS])
def test_images_are_judged_as_the_attack_that_made_them(tmp_path, made, way) -> None:
    """Not as clean ones: their rows are those of the attack, clean answers and sizes included."""
    change = (BOTH[0], BOTH[1].replace("images: theirs", f"images: {way(tmp_path, made)}"))
    loaded = open_job(write(tmp_path, change))
    launch(loaded.plan, str(tmp_path / "run"), permission=loaded.permission)
    found = results.read(str(tmp_path / "run"), "verdicts")
    of = ["example", "target", "success", "score", "clean_score", "clean_correct", "linf", "l2"]
    ours, theirs = (
        found[found.attack == name].sort_values("example")[of].reset_index(drop=True)
        for name in ("ours", "theirs")
    )
    pd.testing.assert_frame_equal(ours, theirs)
    assert set(found[found.attack == "theirs"].base) == {"images"}
    assert manifest(RunFolder(str(tmp_path / "run"))).excess == {"theirs": 0.0}


def test_what_left_the_ball_is_clipped_and_said(tmp_path, made) -> None:
    change = (BOTH[0], BOTH[1].replace("images: theirs", "images: theirs, epsilon: 3/255"))
    as_files(tmp_path, made)
    loaded = open_job(write(tmp_path, change))
    launch(loaded.plan, str(tmp_path / "run"), permission=loaded.permission)
    found = results.read(str(tmp_path / "run"), "verdicts")
    assert found[found.attack == "theirs"].linf.max() == 3
    excess = manifest(RunFolder(str(tmp_path / "run"))).excess
    assert excess is not None
    assert excess["theirs"] == pytest.approx(5, abs=0.01)


def test_a_missing_image_is_a_lost_example(tmp_path, made) -> None:
    as_files(tmp_path, made)
    (tmp_path / "theirs" / "00003.png").unlink()
    (tmp_path / "theirs" / "00005.png").write_bytes(b"no image")
    loaded = open_job(write(tmp_path, BOTH))
    launch(loaded.plan, str(tmp_path / "run"), permission=loaded.permission)
    lost = results.read(str(tmp_path / "run"), "failures").sort_values("example")
    assert list(lost.example) == ["images/3", "images/5"]
    assert "no image of it in" in lost.reason.iloc[0]
    assert "00005.png: " in lost.reason.iloc[1]


def test_images_of_other_examples_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    grey = Image.new("RGB", (8, 8))
    for name in ("cat", "image"):
        grey.save(folder / f"{name}.png")
    (line,) = problems(tmp_path, BOTH)
    assert "job.yaml:11: attacks[1].images: 2 images in " in line
    assert "none is an example's; the first without is 'images/0'; closest to it: 'image" in line
    for index in range(4):
        grey.save(folder / f"{index}.png")
    (line,) = problems(tmp_path, BOTH)
    assert "4 of 8 examples have one; the first without is 'images/4'" in line


BAD = {
    "no array `images`": {"pixels": np.zeros((8, 8, 8, 3))},
    "`images` of shape (8, 8)": {"images": np.zeros((8, 8))},
    "2 ids for 8 images": {"images": np.zeros((8, 8, 8, 3)), "ids": ["a", "b"]},
}


@pytest.mark.parametrize(("said", "arrays"), BAD.items(), ids=range(len(BAD)))
def test_an_archive_without_images_is_refused(tmp_path, said, arrays) -> None:
    np.savez(tmp_path / "theirs.npz", **arrays)
    change = (BOTH[0], BOTH[1].replace("images: theirs", "images: theirs.npz"))
    (line,) = problems(tmp_path, change)
    assert said in line


def test_images_of_another_size_are_a_failure_with_its_reason(tmp_path: Path) -> None:
    np.savez(tmp_path / "theirs.npz", images=np.zeros((8, 9, 9, 3), np.uint8))
    change = (BOTH[0], "attacks:\n  - {name: theirs, images: theirs.npz}\n")
    loaded = open_job(write(tmp_path, change))
    launch(loaded.plan, str(tmp_path / "run"), permission=loaded.permission)
    lost = results.read(str(tmp_path / "run"), "failures")
    assert any("0 is of shape (9, 9, 3), the example 'images/0' of" in each for each in lost.reason)
