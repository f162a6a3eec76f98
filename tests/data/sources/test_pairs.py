from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.problems import BadInput
from tests.toys.datasets import (
    opened,
    pixels,
    problems,
    write_image,
    write_lfw,
    write_npz,
    write_text,
)

IMPERSONATION, DODGING = Goal.IMPERSONATION, Goal.DODGING
ROWS = ("0,1,1", "2,3,1", "0,2,0", "3,1,0", "4,5,1", "5,4,1", "4,0,0", "1,5,0")
FIELDS: dict[str, Any] = {
    "source": "pairs",
    "images": "faces.npz",
    "pairs": "pairs.csv",
    "folds": 2,
}


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    write_npz(tmp_path / "faces.npz", labels=None)
    write_text(tmp_path / "pairs.csv", "index_a,index_b,same", *ROWS)
    return tmp_path


def test_the_goal_determines_which_pairs_are_attacked(faces: Path) -> None:
    different = opened(faces, IMPERSONATION, **FIELDS)
    assert different.ids == (
        "faces/0|faces/2",
        "faces/3|faces/1",
        "faces/4|faces/0",
        "faces/1|faces/5",
    )
    same = opened(faces, DODGING, **FIELDS)
    assert same.ids[0] == "faces/0|faces/1"
    assert opened(faces, DODGING, **FIELDS, kind="different").ids == different.ids


def test_first_image_is_attacked_second_is_the_reference(faces: Path) -> None:
    batch = opened(faces, IMPERSONATION, **FIELDS).load([1]).batch
    assert batch is not None
    assert batch.references is not None
    expected = torch.from_numpy(pixels(6)).permute(0, 3, 1, 2).float() / 255
    assert torch.equal(batch.images, expected[3:4])
    assert torch.equal(batch.references, expected[1:2])
    assert batch.labels is None


def test_thresholds_use_the_whole_list(faces: Path) -> None:
    whole = opened(faces, IMPERSONATION, **FIELDS).verification_pairs()
    assert whole.first == [0, 2, 0, 3, 4, 5, 4, 1]
    assert whole.second == [1, 3, 2, 1, 5, 4, 0, 5]
    assert whole.same.tolist() == [True, True, False, False] * 2
    assert whole.fold.tolist() == [0] * 4 + [1] * 4
    few = opened(faces, DODGING, **FIELDS, limit=1, order="random")
    assert len(few) == 1
    assert few.verification_pairs().fingerprint == whole.fingerprint
    assert few.subset([]).verification_pairs().fingerprint == whole.fingerprint
    other = opened(faces, IMPERSONATION, **(FIELDS | {"folds": 4})).verification_pairs()
    assert other.fold.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert other.fingerprint != whole.fingerprint


def test_the_fingerprint_is_of_the_pixels_of_an_archive(faces: Path) -> None:
    def fingerprint() -> str:
        return opened(faces, IMPERSONATION, **FIELDS).verification_pairs().fingerprint

    before = fingerprint()
    write_npz(faces / "faces.npz", labels=None, more=np.zeros(3))
    assert fingerprint() == before
    images = pixels(6)
    images[3, 0, 0, 0] ^= 1
    write_npz(faces / "faces.npz", labels=None, images=images)
    assert fingerprint() != before
    write_npz(faces / "faces.npz", labels=None, images=pixels(6).reshape(6, 5, 4, 3))
    assert fingerprint() != before


def test_the_fingerprint_is_of_files_size_and_crop(tmp_path: Path) -> None:
    def fingerprint(**fields: Any) -> str:
        given: dict[str, Any] = {"source": "lfw", "root": "lfw", "size": (16, 12)} | fields
        return opened(tmp_path, IMPERSONATION, **given).verification_pairs().fingerprint

    write_lfw(tmp_path / "lfw")
    write_lfw(tmp_path / "copy")
    before = fingerprint()
    assert fingerprint(root="copy") == fingerprint(limit=1) == before
    assert (
        len({before, fingerprint(size=(12, 16)), fingerprint(crop=10), fingerprint(crop=12)}) == 4
    )
    Image.new("RGB", (20, 20)).save(tmp_path / "lfw" / "Person_00" / "Person_00_0001.jpg")
    assert fingerprint() != before


def test_the_fingerprint_is_of_a_folder_s_files_and_size(tmp_path: Path) -> None:
    for name in ("1.png", "2.png", "3.png"):
        write_image(tmp_path / "faces" / name)
    write_text(tmp_path / "pairs.csv", "file_a,file_b,same", "1.png,2.png,1", "1.png,3.png,0")

    def fingerprint(**fields: Any) -> str:
        given = FIELDS | {"images": "faces"} | fields
        return opened(tmp_path, IMPERSONATION, **given).verification_pairs().fingerprint

    before = fingerprint()
    assert fingerprint(size=(8, 8)) not in (before, fingerprint(size=(9, 9)))
    Image.new("RGB", (5, 4)).save(tmp_path / "faces" / "3.png")
    assert fingerprint() != before


def test_single_images_by_position(faces: Path) -> None:
    examples = opened(faces, IMPERSONATION, **FIELDS)
    images = examples.images([5, 0])
    assert images.dtype == torch.float32
    expected = torch.from_numpy(pixels(6)[[5, 0]]).permute(0, 3, 1, 2).float() / 255
    assert torch.equal(images, expected)
    assert examples.image_names[5] == "faces/5"


def test_attack_lists_choose_pairs(faces: Path) -> None:
    for header in ("index_source,index_target", "index_a,index_b"):
        write_text(faces / "ids.csv", header, "4,0", "0,2")
        examples = opened(faces, IMPERSONATION, **FIELDS, ids="ids.csv")
        assert examples.ids == ("faces/4|faces/0", "faces/0|faces/2")
    write_text(faces / "ids.csv", "index_source,index_target", "2,0", "0,9")
    assert problems(faces, IMPERSONATION, **FIELDS, ids="ids.csv") == [
        "ids.csv:2: 'faces/2|faces/0' is not among the 4 examples (pairs of the attacked kind, "
        "first image first)",
        "ids.csv:3: index 9 is no image, expected 0..5",
    ]


def test_pairs_of_files(tmp_path: Path) -> None:
    for name in ("s1/1.png", "s1/2.png", "s3/7.png"):
        write_image(tmp_path / "faces" / name)
    rows = ("s1/1.png,s1/2.png,1", "s1/1.png,s3/7.png,0")
    write_text(tmp_path / "pairs.csv", "file_a,file_b,same", *rows)
    fields: dict[str, Any] = FIELDS | {"images": "faces"}
    examples = opened(tmp_path, IMPERSONATION, **fields)
    assert examples.ids == ("s1/1.png|s3/7.png",)
    assert examples.verification_pairs().second == [1, 2]
    resized = opened(tmp_path, IMPERSONATION, **fields, size=(8, 8))
    assert resized.images([0, 1, 2]).shape == (3, 3, 8, 8)
    write_text(tmp_path / "ids.csv", "file_source,file_target", "s1/1.png,s3/7.png")
    assert opened(tmp_path, IMPERSONATION, **fields, ids="ids.csv").ids == examples.ids


def test_undecodable_images_leave_the_threshold_list(tmp_path: Path) -> None:
    for name in ("1.png", "2.png", "3.png", "4.png"):
        write_image(tmp_path / "faces" / name)
    (tmp_path / "faces" / "4.png").write_text("broken")
    rows = ("1.png,2.png,1", "1.png,3.png,0", "4.png,2.png,0", "2.png,3.png,1")
    write_text(tmp_path / "pairs.csv", "file_a,file_b,same", *rows)
    examples = opened(tmp_path, IMPERSONATION, **(FIELDS | {"images": "faces"}))
    pairs = examples.verification_pairs()
    assert pairs.same.tolist() == [True, False, True]
    assert pairs.fold.tolist() == [0, 0, 1]
    assert [item.id for item in pairs.rejected] == ["4.png"]
    loaded = examples.load([0, 1])
    assert loaded.batch is not None
    assert loaded.batch.ids == ("1.png|3.png",)
    assert loaded.rejected[0].id == "4.png|2.png"
    assert loaded.rejected[0].reason.startswith("4.png: not an image")
    with pytest.raises(BadInput, match=r"4\.png: not an image"):
        examples.images([examples.image_names.index("4.png")])


def test_bad_pair_lists(faces: Path) -> None:
    write_text(
        faces / "pairs.csv",
        "index_a,index_b,same",
        *ROWS,
        "4711,0,1",
        "0,-1,0",
        "0,1,yes",
        "3,3,0",
    )
    assert problems(faces, IMPERSONATION, **FIELDS) == [
        "pairs.csv:10: index 4711 is no image of faces.npz, expected 0..5",
        "pairs.csv:11: index -1 is no image of faces.npz, expected 0..5",
        "pairs.csv:12: same is 'yes', expected 1 or 0",
        "pairs.csv:13: an image paired with itself does not show different people",
    ]
    write_text(faces / "pairs.csv", "index_a,index_b,same")
    (message,) = problems(faces, IMPERSONATION, **FIELDS)
    assert message == "data.pairs: pairs.csv has a header but no rows"
    write_text(faces / "pairs.csv", "index_source,index_target", "0,1")
    (message,) = problems(faces, IMPERSONATION, **FIELDS)
    assert message.endswith("expected 'index_a,index_b,same'")
    write_text(faces / "pairs.csv", "index_a,index_b,same", "0,1,1", "2,3,1")
    (message,) = problems(faces, IMPERSONATION, **FIELDS)
    assert message == "data.pairs: the list has no pair of the kind that is attacked, 'different'"
    found = problems(faces, DODGING, **(FIELDS | {"folds": 10, "size": (4, 4)}))
    assert found[0].startswith("data.size: has no effect on an .npz")
    assert found[1] == "data.folds: 2 pairs cannot be 10 folds"
    with pytest.raises(BadInput, match="has one kind only"):
        opened(faces, DODGING, **FIELDS).verification_pairs()


def test_missing_files_of_pairs_are_all_reported(tmp_path: Path) -> None:
    fields: dict[str, Any] = FIELDS | {"images": "none.npz", "pairs": "none.csv"}
    found = problems(tmp_path, IMPERSONATION, **fields)
    assert [line.split(":")[0] for line in found] == ["data.images", "data.pairs"]


def test_labelled_images_have_no_threshold_pairs(tmp_path: Path) -> None:
    write_npz(tmp_path / "set.npz")
    examples = opened(tmp_path, Goal.UNTARGETED, source="npz", path="set.npz")
    with pytest.raises(BadInput, match="no labelled pairs"):
        examples.verification_pairs()


def test_lfw_layout(tmp_path: Path) -> None:
    write_lfw(tmp_path / "lfw", sets=2, size=3)
    fields: dict[str, Any] = {"source": "lfw", "root": "lfw", "size": (16, 12)}
    examples = opened(tmp_path, IMPERSONATION, **fields)
    assert len(examples) == 6
    assert examples.ids[0] == ("Person_00/Person_00_0001.jpg|Person_01/Person_01_0002.jpg")
    pairs = examples.verification_pairs()
    assert pairs.same.tolist() == ([True] * 3 + [False] * 3) * 2
    assert pairs.fold.tolist() == [0] * 6 + [1] * 6
    batch = examples.load(range(6)).batch
    assert batch is not None
    assert batch.images.shape == (6, 3, 16, 12)
    cropped = opened(tmp_path, IMPERSONATION, **fields, crop=10).load([0]).batch
    assert cropped is not None
    assert not torch.equal(cropped.images, batch.images[:1])
    large = opened(tmp_path, IMPERSONATION, **fields, crop=21).load([0])
    assert large.batch is None
    assert "smaller than the crop of 21 x 21" in large.rejected[0].reason


def test_lfw_pair_lists_elsewhere(tmp_path: Path) -> None:
    write_lfw(tmp_path / "lfw")
    (tmp_path / "lfw" / "pairs.txt").rename(tmp_path / "view2.txt")
    (message,) = problems(tmp_path, DODGING, source="lfw", root="lfw")
    assert message.startswith("data.pairs: no such file")
    assert len(opened(tmp_path, DODGING, source="lfw", root="lfw", pairs="view2.txt")) == 4


def test_bad_lfw_lists(tmp_path: Path) -> None:
    write_lfw(tmp_path / "lfw")
    path = tmp_path / "lfw" / "pairs.txt"
    lines = path.read_text().splitlines()
    lines[1] = "Person_00\t1\t3"
    lines[3] = "Person_00\t1\t2"
    lines[5] = "Nobody\tone\ttwo"
    write_text(path, *lines)
    found = problems(tmp_path, DODGING, source="lfw", root="lfw")
    assert len(found) == 4
    missing = "'Person_00/Person_00_0003.jpg' (or with another suffix)"
    assert "lfw/pairs.txt:4" in found[0]
    assert "of the form 'Name 1 Other 2'" in found[0]
    assert "'Nobody one' is no person and picture number" in found[1]
    assert found[3].startswith(f"lfw/pairs.txt:2: no image {missing} in ")
    write_text(path, "10 300", *lines[1:])
    (message,) = problems(tmp_path, DODGING, source="lfw", root="lfw")
    assert message == "lfw/pairs.txt: 8 pairs, expected 10 sets of 300 + 300 by its first line"
    write_text(path, "<html>")
    (message,) = problems(tmp_path, DODGING, source="lfw", root="lfw")
    assert message.startswith("lfw/pairs.txt:1: expected the numbers of sets")
    assert message.endswith("as in '10 300', got '<html>'")


def test_the_acceptance_pairs(data_root: Path) -> None:
    fields: dict[str, Any] = {
        "source": "pairs",
        "images": "orl-faces-112.npz",
        "pairs": "orl-pairs.csv",
    }
    examples = opened(data_root, IMPERSONATION, **fields)
    assert len(examples) == 600
    pairs = examples.verification_pairs()
    assert np.bincount(pairs.fold).tolist() == [120] * 10
    assert np.bincount(pairs.fold[pairs.same]).tolist() == [60] * 10
    attacked = opened(data_root, IMPERSONATION, **fields, ids="orl-attack-pairs.csv")
    assert len(attacked) == 40
    assert attacked.ids[0] == "orl-faces-112/110|orl-faces-112/272"


def test_many_pairs_of_one_missing_image_are_one_problem(tmp_path: Path) -> None:
    for name in ("1.png", "2.png"):
        write_image(tmp_path / "faces" / name)
    rows = ["1.png,2.png,1", "gone.png,gone.png,1", *("1.png,gone.png,0" for _ in range(7))]
    write_text(tmp_path / "pairs.csv", "file_a,file_b,same", *rows)
    (message,) = problems(tmp_path, IMPERSONATION, **(FIELDS | {"images": "faces"}))
    assert message.startswith("pairs.csv:3: no image 'gone.png' ")
    assert message.endswith("(needed by 8 pairs)")
    write_text(tmp_path / "pairs.csv", "file_a,file_b,same", *(f"x/{n}.png,y.png,1" for n in "abc"))
    (message,) = problems(tmp_path, DODGING, **(FIELDS | {"images": "faces"}))
    assert message.startswith("data.images: none of the 4 listed files is in ")


@pytest.mark.parametrize(
    "rows",
    [
        ("﻿image1;image2;same", "1.PNG;2.png;TRUE", "1.png;3.jpg;FALSE"),
        ("1.png 2.png 1", "1.png 3.png 0"),
        ("1.png 2.png 1", "1.png 3.png -1"),
        ("1.png,2.png,1", "1.png,3.png,0"),
        ("id,path1,path2,same", "0,/x/1.png,/x/2.png,1.0", "1,/x/1.png,/x/3.png,0.0"),
    ],
    ids=["excel", "blanks", "minus one", "headless", "absolute"],
)
def test_pair_lists_of_other_tools(tmp_path: Path, rows: tuple[str, ...]) -> None:
    for name in ("1.png", "2.png", "3.png"):
        write_image(tmp_path / "faces" / name)
    write_text(tmp_path / "pairs.csv", *rows)
    examples = opened(tmp_path, IMPERSONATION, **(FIELDS | {"images": "faces"}))
    assert examples.ids == ("1.png|3.png",)
    assert examples.verification_pairs().same.tolist() == [True, False]


def test_pairs_of_indices_without_a_header(faces: Path) -> None:
    write_text(faces / "pairs.csv", *ROWS)
    whole = opened(faces, IMPERSONATION, **FIELDS).verification_pairs()
    assert (whole.first, whole.second) == ([0, 2, 0, 3, 4, 5, 4, 1], [1, 3, 2, 1, 5, 4, 0, 5])


def test_lfw_like_folders_with_other_suffixes_and_names_with_blanks(tmp_path: Path) -> None:
    root = write_lfw(tmp_path / "lfw")
    fields: dict[str, Any] = {"source": "lfw", "root": "lfw", "size": (16, 12)}
    plain = opened(tmp_path, IMPERSONATION, **fields)
    for place, image in enumerate(sorted(root.rglob("*.jpg"))):
        image.rename(image.with_suffix((".jpeg", ".JPG", ".png")[place % 3]))
    renamed = opened(tmp_path, IMPERSONATION, **fields)
    assert [name.replace(".jpeg", ".jpg").replace(".JPG", ".jpg").replace(".png", ".jpg")
            for name in renamed.ids] == list(plain.ids)  # fmt: skip
    assert len(renamed.verification_pairs().first) == 8
    for image in sorted(root.rglob("Person_00*.*")):
        if image.is_file():
            image.rename(image.with_name(image.name.replace("Person_00", "Ann Lee")))
    (root / "Person_00").rename(root / "Ann Lee")
    text = (root / "pairs.txt").read_text().replace("Person_00", "Ann Lee")
    for content in (text, text.replace("\t", " "), text.replace("\t", "  "), f"﻿{text}"):
        (root / "pairs.txt").write_text(content)
        assert opened(tmp_path, IMPERSONATION, **fields).listing.pairs is not None
    (root / "pairs.txt").write_bytes(text.replace("\n", "\r\n").encode("utf-16"))
    assert len(opened(tmp_path, IMPERSONATION, **fields)) == 4


def test_left_out_pairs_are_counted(tmp_path: Path) -> None:
    for name in ("1.png", "2.png", "3.png", "4.png"):
        write_image(tmp_path / "faces" / name)
    (tmp_path / "faces" / "4.png").write_bytes(b"")
    rows = ("1.png,2.png,1", "1.png,3.png,0", "4.png,2.png,0", "4.png,3.png,0")
    write_text(tmp_path / "pairs.csv", "file_a,file_b,same", *rows)
    pairs = opened(tmp_path, IMPERSONATION, **(FIELDS | {"images": "faces"})).verification_pairs()
    assert (len(pairs.first), pairs.left_out, pairs.listed) == (2, 2, 4)
    assert pairs.rejected[0].reason.endswith("the file is empty")
