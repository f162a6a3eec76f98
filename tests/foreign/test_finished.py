from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from gauntlet.actors.launch import launch
from gauntlet.jobs.spec.loading import open_job
from gauntlet.pipeline import results
from gauntlet.pipeline.foreign.finished import matched, open_finished
from gauntlet.pipeline.problems import BadInput
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


def stored(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / "theirs" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(folder / "theirs" / name)
    return folder / "theirs"


def found(folder: Path, *ids: str, at: str = "theirs") -> dict[str, str]:
    """Return the name of each example's image."""
    finished = open_finished(at, folder)
    return {example: finished.names[n] for example, n in matched(finished, ids).items()}


def test_class_folders_are_matched_by_path_and_lend_no_image(tmp_path: Path) -> None:
    stored(tmp_path, "cat/0.png", "dog/0.png", "dog/1.png")
    ids = ("cat/0.png", "dog/0.png", "cat/1.png", "dog/1.png", "owl/0.png")
    same = ("cat/0.png", "dog/0.png", "dog/1.png")
    assert found(tmp_path, *ids) == {name: name for name in same}


def test_a_name_that_two_images_have_names_neither(tmp_path: Path) -> None:
    stored(tmp_path, "first/x.png", "second/x.png", "second/y.png")
    assert found(tmp_path, "x", "y") == {"y": "second/y.png"}


def test_a_name_that_two_examples_have_is_refused(tmp_path: Path) -> None:
    stored(tmp_path, "0.png", "1.png")
    with pytest.raises(BadInput, match=r"'0\.png' would be of 'cat/0\.png' and 'dog/0"):
        found(tmp_path, "cat/0.png", "dog/0.png")
    assert found(tmp_path, "cat/0.jpg", "dog/1.jpg") == {"cat/0.jpg": "0.png", "dog/1.jpg": "1.png"}


def test_a_pair_is_not_called_as_its_second_image(tmp_path: Path) -> None:
    stored(tmp_path, "7.pgm")
    assert found(tmp_path, "s1/1.pgm|s3/7.pgm") == {}


def test_an_archive_without_ids_is_in_the_order_of_the_data(tmp_path: Path) -> None:
    np.savez(tmp_path / "theirs.npz", images=np.zeros((2, 8, 8, 3), np.uint8))
    ids = ("cat/1.png", "cat/0.png", "dog/0.png")
    assert found(tmp_path, *ids, at="theirs.npz") == {"cat/1.png": "0", "cat/0.png": "1"}
    with pytest.raises(BadInput, match="2 images without ids for 1 examples"):
        found(tmp_path, "cat/1.png", at="theirs.npz")


def table(path: Path, **more: list[int]) -> None:
    pq.write_table(pa.table({"example": ["a", "b", "a"], "image": [b"x"] * 3, **more}), path)


def test_doubled_names_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "twice.npz", images=np.zeros((2, 8, 8, 3)), ids=["a", "a"])
    table(tmp_path / "twice.parquet")
    table(tmp_path / "seeds.parquet", seed=[0, 0, 1])
    for name, said in {
        "twice.npz": "2 images of 'a': keep one",
        "twice.parquet": "2 images of 'a': keep one",
        "seeds.parquet": "2 images of 'a', of the seeds 0, 1: keep one",
    }.items():
        with pytest.raises(BadInput, match=said):
            open_finished(name, tmp_path)


def test_an_image_that_changed_within_a_folder_is_read_anew(tmp_path: Path) -> None:
    folder = tmp_path / "theirs" / "cat"
    folder.mkdir(parents=True)
    table(folder / "part.parquet", seed=[0, 0, 1])
    with pytest.raises(BadInput):
        open_finished("theirs", tmp_path)
    before = (tmp_path / "theirs").stat().st_mtime_ns
    for shade in (1, 2):
        rows = {"example": ["a"], "image": [bytes([shade] * 12)], "height": [2], "width": [2]}
        pq.write_table(pa.table(rows), folder / "part.parquet")
        assert (tmp_path / "theirs").stat().st_mtime_ns == before
        assert open_finished("theirs", tmp_path).read(0).max() == shade


def test_what_is_no_archive_is_refused_in_one_line(tmp_path: Path) -> None:
    images = np.zeros((2, 8, 8, 3))
    with (tmp_path / "array.npz").open("wb") as file:
        np.save(file, images)
    np.savez(tmp_path / "whole.npz", images=images)
    whole = (tmp_path / "whole.npz").read_bytes()
    (tmp_path / "broken.npz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "empty.parquet").write_bytes(b"")
    np.savez(tmp_path / "nameless.npz", images=images, ids=["a", ""])
    for name, said in {
        "array.npz": "array.npz is not a whole .npz archive",
        "broken.npz": "broken.npz is not a whole .npz archive",
        "empty.npz": "empty.npz is not a whole .npz archive",
        "empty.parquet": "is no table that can be read",
        "nameless.npz": "the id of image 1 is empty",
    }.items():
        with pytest.raises(BadInput, match=said) as caught:
            open_finished(name, tmp_path)
        assert len(caught.value.problems) == 1
