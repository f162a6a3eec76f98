"""Lists of face pairs in the forms in which their authors hand them out, in miniature."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from gauntlet.pipeline.batch import Goal
from tests.toys.datasets import grow, opened, problems, write_image, write_text

IMPERSONATION, DODGING = Goal.IMPERSONATION, Goal.DODGING
SIZE = (8, 6)


def listed(root: Path, /, **fields: Any) -> list[tuple[str, str, bool, int]]:
    """Every pair of the list by the names of its images, in order."""
    examples = opened(root, IMPERSONATION, size=SIZE, **fields)
    pairs = examples.verification_pairs()
    names = examples.image_names
    rows = zip(pairs.first, pairs.second, pairs.same.tolist(), pairs.fold.tolist(), strict=True)
    return [(names[a], names[b], same, fold) for a, b, same, fold in rows]


def test_rfw(tmp_path: Path) -> None:
    people = ("m.01", "m.02")
    grow(tmp_path / "data" / "Asian", *(f"{p}/{p}_000{n}.jpg" for p in people for n in (1, 2)))
    lines = [f"m.0{1 + n % 2}\t1\t2" for n in range(10)]
    lines += [f"m.01\t{1 + n % 2}\tm.02\t{1 + n // 2 % 2}" for n in range(10)]
    (tmp_path / "txts" / "Asian").mkdir(parents=True)
    write_text(tmp_path / "txts" / "Asian" / "Asian_pairs.txt", *lines)
    found = listed(tmp_path, source="rfw", root=".", race="Asian")
    assert found[1] == ("m.02/m.02_0001.jpg", "m.02/m.02_0002.jpg", True, 1)
    assert found[12] == ("m.01/m.01_0001.jpg", "m.02/m.02_0002.jpg", False, 2)
    assert [fold for *_, fold in found] == [*range(10), *range(10)]
    write_text(tmp_path / "other.txt", "m.01 1 2", "m.01", "m.01\t1\tm.02\t9")
    assert problems(tmp_path, DODGING, source="rfw", root=".", race="Asian", pairs="other.txt") == [
        "other.txt:2: 'm.01', expected a pair of the form 'Name 1 2' or 'Name 1 Other 2'",
        "other.txt:3: no image 'm.02/m.02_0009.jpg' (or with another suffix) in "
        f"{tmp_path / 'data' / 'Asian'}",
    ]


@pytest.mark.parametrize(
    ("source", "flags", "folder"),
    [("calfw", (1, 2), "aligned images"), ("cplfw", (1, 1), "images"), ("cplfw", (1, 1), ".")],
)
def test_two_lines_a_pair(tmp_path: Path, source: str, flags: Sequence[int], folder: str) -> None:
    names = [f"Ann_Lee_000{n}.jpg" for n in (1, 2)] + [f"Bo_Li_000{n}.jpg" for n in (1, 2)]
    grow(tmp_path / folder, *names)
    pairs = [(*names[:2], flags[0]), (*names[2:], flags[1]), (*names[::2], 0), (*names[1::2], 0)]
    lines = [f"{image} {flag}" for *images, flag in pairs for image in images]
    write_text(tmp_path / f"pairs_{source.upper()}.txt", *lines)
    assert listed(tmp_path, source=source, root=".") == [
        (names[0], names[1], True, 0),
        (names[2], names[3], True, 5),
        (names[0], names[2], False, 0),
        (names[1], names[3], False, 5),
    ]
    write_text(tmp_path / "odd.txt", *lines[:3])
    (message,) = problems(tmp_path, DODGING, source=source, root=".", pairs="odd.txt")
    assert message == "odd.txt: 3 lines, expected two for each pair"
    write_text(tmp_path / "bad.txt", lines[0], lines[-1], lines[0], lines[1])
    (message,) = problems(tmp_path, DODGING, source=source, root=".", pairs="bad.txt")
    assert message.startswith("bad.txt:1: 'Ann_Lee_0001.jpg 1' and 'Bo_Li_0002.jpg 0', expected")


def write_agedb(path: Path, splits: Sequence[Sequence[tuple[str, str, int]]]) -> None:
    """A MATLAB file as the authors have it: cells of structures of cells of structures."""
    cells = np.empty((len(splits), 1), dtype=object)
    for row, split in enumerate(splits):
        names = np.empty((2, len(split)), dtype=object)
        for column, (first, second, _) in enumerate(split):
            names[:, column] = [{"name": first}, {"name": second}]
        cells[row, 0] = {"pairs": names, "labels": np.array([[flag for *_, flag in split]])}
    savemat(path, {"splits": cells})


def test_agedb(tmp_path: Path) -> None:
    old, young, other = "0_MariaCallas_53_f", "1_MariaCallas_23_f", "2_AvaGardner_40_f"
    grow(tmp_path, *(f"{name}.jpg" for name in (old, young, other)))
    splits = [[(old, young, 1), (young, other, -1)], [(old, other, -1), (young, old, 1)]]
    write_agedb(tmp_path / "AgeDB-30.mat", splits)
    assert listed(tmp_path, source="agedb", root=".") == [
        (f"{old}.jpg", f"{young}.jpg", True, 0),
        (f"{young}.jpg", f"{other}.jpg", False, 0),
        (f"{old}.jpg", f"{other}.jpg", False, 1),
        (f"{young}.jpg", f"{old}.jpg", True, 1),
    ]
    write_text(tmp_path / "list.mat", "a.jpg b.jpg 1")
    (message,) = problems(tmp_path, DODGING, source="agedb", root=".", pairs="list.mat")
    assert message.startswith("data.pairs: list.mat is no MATLAB list of AgeDB-30: ")
    assert message.endswith("; plain text is read by `source: pairs`")
    (message,) = problems(tmp_path, DODGING, source="agedb", root=".", pairs="none.mat")
    assert message == f"data.pairs: no such file: {tmp_path / 'none.mat'}"


@pytest.mark.parametrize("images", ["Data/Images", "."])
def test_cfp(tmp_path: Path, images: str) -> None:
    for person in ("001", "002"):
        grow(tmp_path / images / person, "frontal/01.jpg", "frontal/02.jpg", "profile/01.jpg")
    protocol = tmp_path / "Protocol"
    for fold in ("01", "02"):
        for kind in ("FP", "FF"):
            (protocol / "Split" / kind / fold).mkdir(parents=True)
        write_text(protocol / "Split" / "FP" / fold / "same.txt", "1,1", "3,2")
        write_text(protocol / "Split" / "FP" / fold / "diff.txt", "2,2")
        write_text(protocol / "Split" / "FF" / fold / "same.txt", "1,2")
        write_text(protocol / "Split" / "FF" / fold / "diff.txt", "1,3")
    frontal = [(n, f"00{1 + n // 2}/frontal/0{1 + n % 2}.jpg") for n in range(4)]
    write_text(
        protocol / "Pair_list_F.txt", *(f"{n + 1} ../Data/Images/{name}" for n, name in frontal)
    )
    profile = [f"{n} ../Data/Images/00{n}/profile/01.jpg" for n in (1, 2)]
    write_text(protocol / "Pair_list_P.txt", *profile)
    assert listed(tmp_path, source="cfp", root=".")[:3] == [
        ("001/frontal/01.jpg", "001/profile/01.jpg", True, 0),
        ("002/frontal/01.jpg", "002/profile/01.jpg", True, 0),
        ("001/frontal/02.jpg", "002/profile/01.jpg", False, 0),
    ]
    assert listed(tmp_path, source="cfp", root=".", protocol="FF")[-1] == (
        *("001/frontal/01.jpg", "002/frontal/01.jpg"),
        *(False, 1),
    )
    write_text(protocol / "Split" / "FP" / "02" / "diff.txt", "2,9", "x", "2,8")
    assert problems(tmp_path, DODGING, source="cfp", root=".") == [
        "Protocol/Split/FP/02/diff.txt:1: '2,9', expected the numbers of two listed images, as "
        "'1,1'",
        "Protocol/Split/FP/02/diff.txt:2: 'x', expected the numbers of two listed images, as '1,1'",
        "Protocol/Split/FP/02/diff.txt:3: '2,8', expected the numbers of two listed images, as "
        "'1,1'",
    ]
    (message,) = problems(tmp_path, DODGING, source="cfp", root=".", pairs="none")
    assert message == f"data.pairs: no such folder: {tmp_path / 'none' / 'Split' / 'FP'}"


SPLITS = (
    "split number, pair number, first name, second name, is same",
    "1, 1, Ann_Lee/0, Ann_Lee/2, 1",
    "1, 2, Ann_Lee/0, Bo_Li/1, 0",
    "2, 1, Bo_Li/1, Ann_Lee/2, 0",
)


def test_ytf_takes_the_middle_picture_of_each_video(tmp_path: Path) -> None:
    for video, frames in (("Ann_Lee/0", (9, 10, 100)), ("Ann_Lee/2", (7,)), ("Bo_Li/1", (1, 2))):
        names = [f"{video}/aligned_detect_0.{frame}.jpg" for frame in frames]
        grow(tmp_path / "aligned_images_DB", *names)
    write_text(tmp_path / "splits.txt", *SPLITS)
    ann, again = "Ann_Lee/0/aligned_detect_0.10.jpg", "Ann_Lee/2/aligned_detect_0.7.jpg"
    bo = "Bo_Li/1/aligned_detect_0.2.jpg"
    assert listed(tmp_path, source="ytf", root=".") == [
        (ann, again, True, 0),
        (ann, bo, False, 0),
        (bo, again, False, 1),
    ]


def test_ytf_with_one_picture_a_video(tmp_path: Path) -> None:
    grow(tmp_path, "Ann_Lee/Ann_Lee_0.png", "Ann_Lee/Ann_Lee_2.png", "Bo_Li/Bo_Li_1.png")
    write_text(tmp_path / "splits.txt", *SPLITS)
    found = listed(tmp_path, source="ytf", root=".")
    assert found[1] == ("Ann_Lee/Ann_Lee_0.png", "Bo_Li/Bo_Li_1.png", False, 0)
    write_text(tmp_path / "splits.txt", *SPLITS, "1, 3, ../Ann_Lee/0, Bo_Li/7, 0", "1, Bo_Li/1, 0")
    found_wrong = problems(tmp_path, DODGING, source="ytf", root=".")
    assert found_wrong[0].startswith("splits.txt:6: '1, Bo_Li/1, 0', expected '1, 1, Name/0,")
    assert [message.split(" (")[0] for message in found_wrong[1:]] == [
        "splits.txt:5: no image '../.._Ann_Lee/0'",
        "splits.txt:5: no image 'Bo_Li/Bo_Li_7'",
    ]


def test_twenty_missing_images_are_listed_and_the_rest_counted(tmp_path: Path) -> None:
    grow(tmp_path, "a.jpg")
    write_text(
        tmp_path / "pairs_CPLFW.txt", *(line for n in range(50) for line in ("a.jpg 1", f"{n} 1"))
    )
    found = problems(tmp_path, DODGING, source="cplfw", root=".")
    assert len(found) == 21
    assert found[0].startswith("pairs_CPLFW.txt:1: no image '0' (or with another suffix) in ")
    assert found[-1] == "data: and 30 more problems like these"


@pytest.mark.parametrize("source", ["lfw", "calfw", "cplfw", "agedb", "cfp", "ytf"])
def test_missing_folders_are_said(tmp_path: Path, source: str) -> None:
    (message,) = problems(tmp_path, DODGING, source=source, root="none")
    assert message == f"data.root: no such folder: {tmp_path / 'none'}"


def test_images_are_cropped_and_resized(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        write_image(tmp_path / name, 20, 20)
    write_text(tmp_path / "pairs_CPLFW.txt", "a.jpg 1", "b.jpg 1", "a.jpg 0", "c.jpg 0")
    batch = opened(tmp_path, DODGING, source="cplfw", root=".", crop=10, size=SIZE).load([0]).batch
    assert batch is not None
    assert batch.images.shape == (1, 3, *SIZE)
