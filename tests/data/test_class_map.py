"""Files that say which label each class has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.run.probe.classes import class_problems
from tests.toys.datasets import grow, opened, problems, spec, write_text

FIELDS: dict[str, Any] = {"source": "folder", "root": "set", "classes": "classes.txt"}
UNTARGETED = Goal.UNTARGETED


@pytest.fixture
def data(tmp_path: Path) -> Path:
    grow(tmp_path / "set", "tench/1.png", "cock/2.png", "tench/3.png")
    return tmp_path


@pytest.mark.parametrize(
    "content",
    [
        "hen\ntench\n\ncock\n",
        json.dumps(["hen", "tench", "cock"]),
        json.dumps({"tench": 1, "cock": 2, "hen": 0}),
        json.dumps({"0": "hen", "2": "cock", "1": "tench"}),
        json.dumps({"0": ["n01", "hen"], "1": ["n02", "tench"], "2": ["n03", "cock"]}),
    ],
    ids=["lines", "list", "labels", "names", "keras"],
)
def test_forms(data: Path, content: str) -> None:
    (data / "classes.txt").write_text(content)
    examples = opened(data, UNTARGETED, **FIELDS)
    assert examples.listing.labels is not None
    assert dict(zip(examples.ids, examples.listing.labels.tolist(), strict=True)) == {
        **{"tench/1.png": 1, "tench/3.png": 1},
        "cock/2.png": 2,
    }
    assert examples.listing.classes == 3
    assert len(examples.listing.class_names) == 3


def test_synsets_before_words_and_label_files_by_name(data: Path) -> None:
    write_text(data / "classes.txt", "n01514859 hen", "n01440764 tench, Tinca tinca", "cock")
    write_text(data / "labels.csv", "file,label", "tench/1.png,n01440764", "cock/2.png,cock")
    examples = opened(data, UNTARGETED, **FIELDS, labels="labels.csv")
    assert examples.listing.labels is not None
    assert examples.listing.labels.tolist() == [1, 2]
    assert examples.listing.class_names == ("n01514859", "n01440764", "cock")
    write_text(data / "labels.csv", "file,label", "tench/1.png,trout")
    (message,) = problems(data, UNTARGETED, **FIELDS, labels="labels.csv")
    assert message == "labels.csv:2: label 'trout' is no class of classes.txt"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("hen\ncock\n", "1 class folders are not in classes.txt (tench), which has 2 classes"),
        ("hen\ntench\nhen\n", "classes.txt: 'hen' is class 0 and 2"),
        ("hen", "classes.txt has 1 classes; expected one class a line in the order of labels"),
        ('{"a": 0, "b": 2}', "classes.txt is no class map: its 2 labels are not 0 to 1"),
        ("[1, 2]", "classes.txt is no class map: 1 is no name of a class"),
        ('{"a"', "classes.txt is no class map: "),
    ],
)
def test_bad_class_maps(data: Path, content: str, message: str) -> None:
    (data / "classes.txt").write_text(content)
    (found,) = problems(data, UNTARGETED, **FIELDS)
    assert found.startswith(f"data.classes: {message}")


def test_one_class_is_none() -> None:
    with pytest.raises(ValidationError, match="1 is no number of classes: expected 2 or more"):
        spec(**(FIELDS | {"classes": 1}))


def test_a_class_map_of_another_size_than_the_model(data: Path) -> None:
    write_text(data / "classes.txt", "hen", "tench", "cock")
    examples = opened(data, UNTARGETED, **FIELDS)
    assert not class_problems(examples, {"t0": 3}, spec(**FIELDS))
    (problem,) = class_problems(examples, {"t0": 5}, spec(**FIELDS))
    assert str(problem) == (
        "data.classes: classes.txt names 3 classes, t0 has 5 classes, 0 to 4: name all of them, in "
        "their order"
    )
