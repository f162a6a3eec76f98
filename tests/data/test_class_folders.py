"""Class folders as people have them: every label is right, or a problem says why not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.data.examples import Examples
from gauntlet.pipeline.data.known_classes import imagenet_synsets
from tests.toys.datasets import grow, opened, problems

UNTARGETED = Goal.UNTARGETED
FOLDER: dict[str, Any] = {"source": "folder", "root": "set"}
IMAGENET: dict[str, Any] = {"source": "imagenet", "root": "set", "size": 4, "resize": 4}


def labels(examples: Examples) -> dict[str, int]:
    assert examples.listing.labels is not None
    return dict(zip(examples.ids, examples.listing.labels.tolist(), strict=True))


def told(examples: Examples) -> str:
    return "\n".join([*examples.account.notes, *map(str, examples.account.left_out)])


def test_links_to_class_folders_are_followed(tmp_path: Path) -> None:
    grow(tmp_path / "store", "dog/1.png", "owl/1.png")
    grow(tmp_path / "set", "cat/1.png")
    for name in ("dog", "owl"):
        (tmp_path / "set" / name).symlink_to(tmp_path / "store" / name)
    (tmp_path / "set" / "cat" / "2.png").symlink_to(tmp_path / "store" / "dog" / "1.png")
    examples = opened(tmp_path, UNTARGETED, **FOLDER)
    assert labels(examples) == {"cat/1.png": 0, "cat/2.png": 0, "dog/1.png": 1, "owl/1.png": 2}
    assert told(examples) == ""
    (tmp_path / "all").symlink_to(tmp_path / "set")
    assert labels(opened(tmp_path, UNTARGETED, source="folder", root="all")) == labels(examples)


def test_circular_and_dangling_links_end_and_are_said(tmp_path: Path) -> None:
    root = grow(tmp_path / "set", "a/1.png", "b/1.png")
    (root / "a" / "up").symlink_to(root)
    (root / "a" / "itself").symlink_to(root / "a" / "itself")
    (root / "b" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    examples = opened(tmp_path, UNTARGETED, **FOLDER)
    assert labels(examples) == {"a/1.png": 0, "b/1.png": 1}
    assert "2 links that lead nowhere (a/itself, b/gone.png)" in told(examples)
    assert "1 links into a folder that holds them (a/up)" in told(examples)


@pytest.mark.parametrize("kind", ["linked", "nested"])
def test_folders_without_end_are_refused(tmp_path: Path, kind: str) -> None:
    root = grow(tmp_path / "set", "a/1.png")
    if kind == "linked":  # no circle, and 8! ways through them
        for name in "abcdefgh":
            (root / name).mkdir(exist_ok=True)
            for other in "abcdefgh":
                (root / name / f"to-{other}").symlink_to(root / other)
    else:
        (root / "/".join("d" * 300)).mkdir(parents=True)
    (problem,) = problems(tmp_path, UNTARGETED, **FOLDER)
    assert "folders are " + kind in str(problem)
    assert len(str(problem)) < 500


def test_folders_named_by_number_have_that_label(tmp_path: Path) -> None:
    grow(tmp_path / "set", *(f"{label}/x.png" for label in range(1000)))
    examples = opened(tmp_path, UNTARGETED, **FOLDER)
    assert labels(examples) == {f"{label}/x.png": label for label in range(1000)}
    assert examples.listing.classes == 1000
    validation = opened(tmp_path, UNTARGETED, **IMAGENET)
    assert labels(validation) == labels(examples)
    assert validation.listing.class_names == imagenet_synsets()


def test_dates_are_no_classes(tmp_path: Path) -> None:
    grow(tmp_path / "set", "202401011230/1.png", "202401011231/1.png")
    (problem,) = problems(tmp_path, UNTARGETED, **FOLDER)
    assert "data.root: the highest class would be 202,401,011,231, and no network" in problem
    (tmp_path / "labels.csv").write_text("file,label\n202401011230/1.png,202401011230\n")
    (problem,) = problems(tmp_path, UNTARGETED, **FOLDER, labels="labels.csv")
    assert "labels.csv:2: the highest class would be 202,401,011,230" in problem


def test_numbers_may_have_gaps_and_zeros_in_front(tmp_path: Path) -> None:
    grow(tmp_path / "set", "002/x.png", "010/x.png", "101/x.png")
    examples = opened(tmp_path, UNTARGETED, **FOLDER)
    assert list(labels(examples).values()) == [2, 10, 101]
    assert examples.listing.classes == 102
    grow(tmp_path / "set", "2/x.png")
    (message,) = problems(tmp_path, UNTARGETED, **FOLDER)
    assert "folders '002' and '2' are one class, 2" in message


def test_folders_from_one_to_their_count_start_at_class_zero(tmp_path: Path) -> None:
    grow(tmp_path / "set", *(f"{number}/x.png" for number in range(1, 12)))
    examples = opened(tmp_path, UNTARGETED, **FOLDER)
    assert labels(examples) == {f"{number}/x.png": number - 1 for number in range(1, 12)}
    assert examples.listing.classes == 11
    assert "numbered 1 to 11: '1' is class 0" in told(examples)
    for fields in ({"labels_from": 0}, {"classes": 12}):
        shifted = opened(tmp_path, UNTARGETED, **FOLDER, **fields)
        assert labels(shifted) == {f"{number}/x.png": number for number in range(1, 12)}
    stated = opened(tmp_path, UNTARGETED, **FOLDER, labels_from=1, classes=12)
    assert labels(stated) == labels(examples)


def test_what_systems_leave_behind_is_no_class(tmp_path: Path) -> None:
    debris = ("__MACOSX/a/._1.png", "@eaDir/1.png", ".cache/1.png", "lost+found/1.png")
    inside = ("a/Thumbs.db", "a/.DS_Store", "a/desktop.ini", "a/._1.png", "a/@eaDir/1.png")
    grow(tmp_path / "set", "a/1.png", "b/1.png", "zebra/1.png", *debris, *inside)
    (tmp_path / "set" / "$RECYCLE.BIN").mkdir()
    examples = opened(tmp_path, UNTARGETED, **FOLDER)
    assert labels(examples) == {"a/1.png": 0, "b/1.png": 1, "zebra/1.png": 2}
    assert told(examples) == ""


def test_an_empty_folder_is_a_class_only_where_the_number_is_known(tmp_path: Path) -> None:
    grow(tmp_path / "set", "a/1.png", "c/1.png")
    (tmp_path / "set" / "b").mkdir()
    (message,) = problems(tmp_path, UNTARGETED, **FOLDER)
    assert "1 class folder holds no image (b)" in message
    assert "remove it, or state `classes` (3 with, 2 without)" in message
    kept = opened(tmp_path, UNTARGETED, **FOLDER, classes=3)
    assert labels(kept) == {"a/1.png": 0, "c/1.png": 2}
    assert "1 folder (b) without images, counted as a class" in told(kept)
    foreign = opened(tmp_path, UNTARGETED, **FOLDER, classes=2)
    assert labels(foreign) == {"a/1.png": 0, "c/1.png": 1}
    assert "1 folder (b) without images and no class" in told(foreign)
    for fields in (FOLDER, IMAGENET):
        (message,) = problems(tmp_path, UNTARGETED, **fields, classes=7)
        assert "has 3 class folders, 1 of them empty (b), expected 7" in message
    assert labels(opened(tmp_path, UNTARGETED, **IMAGENET, classes=3)) == labels(kept)


def test_a_folder_that_is_no_class_among_numbers_or_synsets_is_named(tmp_path: Path) -> None:
    grow(tmp_path / "set", "0/1.png", "1/1.png", "10/1.png", "thumbnails/1.png")
    (message,) = problems(tmp_path, UNTARGETED, **FOLDER)
    assert "are whole numbers, thumbnails is not: move what is no class elsewhere" in message
    grow(tmp_path / "val", "n01440764/1.png", "n01443537/1.png", "backup/1.png")
    (message,) = problems(tmp_path, UNTARGETED, **{**FOLDER, "root": "val"}, classes=3)
    assert "are synsets, backup is not" in message
    (tmp_path / "set" / "thumbnails" / "1.png").unlink()
    examples = opened(tmp_path, UNTARGETED, **FOLDER)
    assert list(labels(examples).values()) == [0, 1, 10]
    assert "1 folder (thumbnails) without images and no whole number" in told(examples)


def test_synsets_have_imagenets_labels_where_there_are_a_thousand(tmp_path: Path) -> None:
    synsets = imagenet_synsets()
    chosen = {synsets[label]: label for label in (0, 7, 999)}
    grow(tmp_path / "set", *(f"{name}/1.png" for name in chosen))
    expected = {f"{name}/1.png": label for name, label in chosen.items()}
    (tmp_path / "set" / "logs").mkdir()
    for fields in (IMAGENET, {**FOLDER, "classes": 1000}):
        examples = opened(tmp_path, UNTARGETED, **fields)
        assert labels(examples) == expected
        assert examples.listing.classes == 1000
        assert "3 of ImageNet's 1,000 synsets have images" in told(examples)
        assert "1 folder (logs) without images and no synset" in told(examples)
    (tmp_path / "set" / "logs").rmdir()
    few = opened(tmp_path, UNTARGETED, **FOLDER)
    assert list(labels(few).values()) == [0, 1, 2]
    assert "for ImageNet's own labels set `classes: 1000`" in told(few)
    grow(tmp_path / "set", "n99999999/1.png")
    (message,) = problems(tmp_path, UNTARGETED, **IMAGENET)
    assert "1 class folders are no synset of ImageNet's 1,000: n99999999" in message


@pytest.mark.parametrize("fields", [FOLDER, IMAGENET])
def test_one_folder_level_too_many(tmp_path: Path, fields: dict[str, Any]) -> None:
    grow(tmp_path / "set", *(f"images/val/{label}/1.png" for label in range(3)))
    (message,) = problems(tmp_path, UNTARGETED, **fields)
    assert "one folder level too many" in message
    assert "has 3 folders with images (0, 1, 2); set `data.root: set/images/val`" in message
    inner = {**fields, "root": "set/images/val"}
    assert list(labels(opened(tmp_path, UNTARGETED, **inner)).values()) == [0, 1, 2]


def test_splits_are_no_classes(tmp_path: Path) -> None:
    grow(tmp_path / "set", *(f"{split}/{c}/1.png" for split in ("train", "val") for c in "abc"))
    (message,) = problems(tmp_path, UNTARGETED, **FOLDER)
    assert (
        "train, val hold folders of the same names (a, b, c); set `data.root: set/val`" in message
    )


def test_folders_inside_classes_are_allowed(tmp_path: Path) -> None:
    grow(tmp_path / "tiny", "n01/images/1.png", "n02/images/1.png")
    assert list(labels(opened(tmp_path, UNTARGETED, **{**FOLDER, "root": "tiny"})).values()) == [
        0,
        1,
    ]
    grow(tmp_path / "set", "beast/cat/1.png", "beast/dog/1.png", "ship/tug/1.png", "ship/sub/1.png")
    examples = opened(tmp_path, UNTARGETED, **FOLDER)
    assert list(labels(examples).values()) == [0, 0, 1, 1]
    assert "'beast' is one class, though it has 2 folders with images" in told(examples)


def test_what_is_left_out_is_counted_by_suffix(tmp_path: Path) -> None:
    names = ("a/1.heic", "a/2.HEIC", "b/raw", "b/note.txt", "1.png", "a/3.jfif")
    grow(tmp_path / "set", "a/1.png", "b/1.PNG", *names)
    examples = opened(tmp_path, UNTARGETED, **FOLDER)
    assert examples.ids == ("a/1.png", "a/3.jfif", "b/1.PNG")
    assert list(map(str, examples.account.left_out)) == [
        "1 without suffix (b/raw)",
        "2 with suffix .heic (a/1.heic, a/2.HEIC)",
        "1 with suffix .txt (b/note.txt)",
        "1 in no class folder (1.png)",
    ]
    batch = examples.load(range(3)).batch
    assert batch is not None
    assert len(batch) == 3
    for name in ("a/1.png", "b/1.PNG", "a/3.jfif"):
        os.unlink(tmp_path / "set" / name)
    (message,) = problems(tmp_path, UNTARGETED, **FOLDER)
    assert "no image files in class sub-folders" in message
    assert "holds 1 images itself" in message
    os.unlink(tmp_path / "set" / "1.png")
    (message,) = problems(tmp_path, UNTARGETED, **FOLDER)
    assert "left out: 1 without suffix (b/raw); 2 with suffix .heic" in message


def test_labels_from_has_no_effect_on_names(tmp_path: Path) -> None:
    grow(tmp_path / "set", "a/1.png", "b/1.png")
    (message,) = problems(tmp_path, UNTARGETED, **FOLDER, labels_from=1)
    assert message.startswith("data.labels_from: has no effect on class folders with names")
