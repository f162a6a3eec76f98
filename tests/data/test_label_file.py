"""Label files as they are published and exported, with the classes that an attacker wants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.data.examples import Examples
from tests.toys.datasets import opened, pixels, problems, write_image, write_npz, write_text

UNTARGETED, TARGETED = Goal.UNTARGETED, Goal.TARGETED
FIELDS: dict[str, Any] = {"source": "folder", "root": "set", "labels": "labels.csv"}
NAMES = ("1.png", "2.png", "3.png")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name in NAMES:
        write_image(tmp_path / "set" / name)
    return tmp_path


def read(examples: Examples) -> tuple[list[int], list[int] | None]:
    assert examples.listing.labels is not None
    wanted = None if examples.wanted is None else examples.wanted.tolist()
    return examples.listing.labels.tolist(), wanted


def notes(examples: Examples) -> str:
    return "\n".join(examples.account.notes)


@pytest.mark.parametrize("column", ["wanted", "targeted_label", "Target_Label"])
def test_the_wanted_class_of_each_example(data: Path, column: str) -> None:
    rows = ("3.png,7,1", "1.png,0,9", "2.png,4,3")
    write_text(data / "labels.csv", f"filename,label,{column}", *rows)
    examples = opened(data, TARGETED, **FIELDS)
    assert read(examples) == ([7, 0, 4], [1, 9, 3])
    assert examples.listing.classes == 10
    batch = examples.select(["2.png", "3.png"]).load([0, 1]).batch
    assert batch is not None
    assert batch.wanted is not None
    assert batch.wanted.tolist() == [3, 1]
    assert "classes count from 0" in notes(examples)
    assert read(opened(data, TARGETED, **FIELDS, wanted="listed"))[1] == [1, 9, 3]
    assert read(opened(data, TARGETED, **FIELDS, wanted="next", classes=10))[1] == [8, 1, 5]
    assert read(opened(data, UNTARGETED, **FIELDS)) == ([7, 0, 4], None)


def test_the_2017_competition_counts_from_one(data: Path) -> None:
    header = "ImageId,URL,x1,TrueLabel,TargetClass,License"
    write_text(data / "labels.csv", header, "1,http://a,0.5,306,779,by", "2,,,1000,1,by")
    examples = opened(data, TARGETED, **FIELDS, classes=1000)
    assert examples.ids == ("1.png", "2.png")
    assert read(examples) == ([305, 999], [778, 0])
    said = notes(examples)
    assert "columns ImageId, TrueLabel, TargetClass; classes count from 1" in said
    assert "columns not used: URL, x1, License" in said
    slim = opened(data, TARGETED, **FIELDS, classes=1001, labels_from=0)
    assert read(slim) == ([306, 1000], [779, 1])
    write_text(data / "labels.csv", "ImageId,TrueLabel", "1,0")
    (message,) = problems(data, UNTARGETED, **FIELDS)
    assert "label 0, but classes count from 1" in message


def test_bad_wanted_classes(data: Path) -> None:
    write_text(data / "labels.csv", "file,label,wanted", "1.png,0,0", "2.png,1,", "3.png,1,5")
    assert problems(data, TARGETED, **FIELDS, classes=3) == [
        "labels.csv:2: the wanted class is the true one",
        "labels.csv:3: wanted class '' is no class number 0, 1, ...",
        "labels.csv:4: wanted class 5 is no class, expected 0..2",
    ]
    assert problems(data, UNTARGETED, **FIELDS, classes=3) == []
    write_text(data / "labels.csv", "file,label", "1.png,0")
    (message,) = problems(data, TARGETED, **FIELDS, wanted="listed")
    assert message.startswith("data.wanted: the source says of no example which class is wanted")


def test_labels_from_one(data: Path) -> None:
    write_text(data / "labels.csv", "file,label", "1.png,1", "2.png,2", "3.png,3")
    assert problems(data, UNTARGETED, **FIELDS, classes=3) == [
        "labels.csv:4: label 3 is no class, expected 0..2; they run from 1 to 3: if the first "
        "class is 1, set `labels_from: 1`"
    ]
    assert read(opened(data, UNTARGETED, **FIELDS, labels_from=1, classes=3))[0] == [0, 1, 2]
    write_text(data / "ids.csv", "file,label", "3.png,3")
    some = opened(data, UNTARGETED, **FIELDS, labels_from=1, ids="ids.csv")
    assert read(some)[0] == [2]


@pytest.mark.parametrize(
    "content",
    [
        b"file,label\r\n1.png,3\r\n3.png,0\r\n",
        b"\xef\xbb\xbffile,label\r\n1.png,3\r\n\r\n,\r\n3.png,0\r\n",
        "file;label\n1.png;3\n3.png;0\n".encode("utf-16"),
        b"file\tlabel\n1.png\t3\n3.png\t0\n",
        b"sep=;\r\nFile;Label;\r\n1.png;3,0;\r\n3.png;0,0;\r\n",
        b'"file","label"\n"1.png","3.0"\n"3.png","0.0"\n',
        b",label,image_path\n0,3,1.png\n1,0,3.png\n",
        b"file,label\r1.png,3\r3.png,0\r",
        b"1.png,3\n3.png,0\n",
        b"1.png 3\n3.png 0\n",
        b"file,label\n1.png,3\nfile,label\n3.png,0\n",
    ],
    ids=[
        *("crlf", "bom", "utf16", "tabs", "excel", "quotes"),
        *("pandas", "cr", "headless", "plain", "twice"),
    ],
)  # fmt: skip
def test_exports_of_spreadsheets_and_scripts(data: Path, content: bytes) -> None:
    (data / "labels.csv").write_bytes(content)
    examples = opened(data, UNTARGETED, **FIELDS)
    assert examples.ids == ("1.png", "3.png")
    assert read(examples)[0] == [3, 0]


def test_how_a_file_was_read_is_said(data: Path) -> None:
    write_text(data / "labels.csv", "1.png,3", "3.png,0")
    assert "labels.csv has no header: read as file,label" in notes(
        opened(data, UNTARGETED, **FIELDS)
    )
    write_text(data / "labels.csv", "file,label", "1.png,3", "file,label")
    assert "repeats its header at line 3" in notes(opened(data, UNTARGETED, **FIELDS))


def test_another_encoding_is_named(data: Path) -> None:
    (data / "labels.csv").write_bytes("file,label\nmünchen.png,0\n".encode("latin-1"))
    (message,) = problems(data, UNTARGETED, **FIELDS)
    assert "labels.csv cannot be read as CSV in UTF-8" in message
    assert "save it as UTF-8" in message


def test_one_cause_is_one_problem(data: Path) -> None:
    rows = [f"none{number}.png,0" for number in range(40)]
    write_text(data / "labels.csv", "file,label", *rows)
    (message,) = problems(data, UNTARGETED, **FIELDS)
    assert message.startswith("data.root: none of the 40 listed files is in ")
    write_text(data / "labels.csv", "file,label", "1.png,0", *("2.png,cat" for _ in range(8)))
    assert problems(data, UNTARGETED, **FIELDS) == [
        "labels.csv:3: label 'cat' is no class number 0, 1, ... (8 such lines)"
    ]
    write_image(data / "set" / "deep" / "4.png")
    write_text(data / "labels.csv", "file,label", "4.png,0", "5.png,0")
    (message,) = problems(data, UNTARGETED, **FIELDS)
    assert message.endswith("deep/4.png exists: is that its folder?")


def one_hot(count: int, classes: int, kind: type) -> np.ndarray:
    return np.eye(classes)[np.arange(count) % classes].astype(kind)


@pytest.mark.parametrize(
    "labels",
    [
        (np.arange(6) % 3)[:, None],
        (np.arange(6) % 3).astype(np.float32),
        (np.arange(6) % 3).astype(np.uint8),
        one_hot(6, 3, np.float64),
        one_hot(6, 3, np.bool_),
    ],
    ids=["column", "float", "uint8", "one-hot", "bool"],
)
def test_forms_of_labels_in_archives(tmp_path: Path, labels: np.ndarray) -> None:
    write_npz(tmp_path / "set.npz", labels=labels)
    examples = opened(tmp_path, UNTARGETED, source="npz", path="set.npz")
    assert read(examples)[0] == [0, 1, 2, 0, 1, 2]
    assert examples.listing.classes == 3


@pytest.mark.parametrize(
    "labels",
    [np.full(6, np.inf), np.ones((6, 3)), np.zeros((6, 2, 2)), np.full(6, True), np.array("a")],
)
def test_other_arrays_are_no_labels(tmp_path: Path, labels: np.ndarray) -> None:
    write_npz(tmp_path / "set.npz", labels=labels)
    (message,) = problems(tmp_path, UNTARGETED, source="npz", path="set.npz")
    assert message.startswith("data.labels: array 'labels' is ")


def test_archives_can_count_from_one_and_hold_wanted_classes(tmp_path: Path) -> None:
    numbers = np.arange(6) % 3 + 1
    write_npz(tmp_path / "set.npz", images=pixels(6), labels=numbers, wanted=4 - numbers)
    fields: dict[str, Any] = {"source": "npz", "path": "set.npz", "classes": 3}
    (message,) = problems(tmp_path, UNTARGETED, **fields)
    assert "they run from 1 to 3: if the first class is 1, set `labels_from: 1`" in message
    (message,) = problems(tmp_path, TARGETED, **fields, labels_from=1)
    assert "labels[1]: the wanted class is the true one (2 examples)" in message
    other = numbers % 3 + 1
    write_npz(tmp_path / "set.npz", images=pixels(6), labels=numbers, wanted=other)
    examples = opened(tmp_path, TARGETED, **fields, labels_from=1)
    assert read(examples) == ([0, 1, 2] * 2, [1, 2, 0] * 2)


def test_synsets_are_imagenet_s_labels(data: Path) -> None:
    for lines in (
        ("file,synset", "1.png,n01440764", "3.png,n01443537"),
        ("1.png n01440764", "3.png n01443537"),
        ("ImageId,PredictionString", "1,n01440764 85 1 499 272 ", "3,n01443537 1 2 3 4 n01443537"),
    ):
        write_text(data / "labels.csv", *lines)
        examples = opened(data, UNTARGETED, **FIELDS, classes=1000)
        assert examples.ids == ("1.png", "3.png")
        assert read(examples)[0] == [0, 1]
    write_text(data / "labels.csv", "file,label", "1.png,n99999999")
    (message,) = problems(data, UNTARGETED, **FIELDS)
    assert message == "labels.csv:2: label 'n99999999' is no class number 0, 1, ..."
