"""Data sets that Hugging Face's library has saved; needs `pip install 'gauntlet[datasets]'`."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from gauntlet.pipeline.batch import Goal
from tests.toys.datasets import opened, pixels, problems, spec

UNTARGETED = Goal.UNTARGETED
IMAGES = pixels(6)
NAMES = ["hen", "tench", "eel"]
FIELDS: dict[str, Any] = {"source": "hf", "path": "set"}


@pytest.fixture(scope="module")
def library() -> Any:
    return pytest.importorskip("datasets", reason="pip install 'gauntlet[datasets]'")


def made(library: Any, **columns: Any) -> Any:
    """Images and classes, as `push_to_hub` and `save_to_disk` have them."""
    images = [Image.fromarray(image) for image in IMAGES]
    content = {"image": images, "label": [n % 3 for n in range(6)]} | columns
    features = library.Features(image=library.Image(), label=library.ClassLabel(names=NAMES))
    return library.Dataset.from_dict(content, features=features)


def test_images_are_decoded_when_their_turn_comes(library: Any, tmp_path: Path) -> None:
    made(library).save_to_disk(tmp_path / "set")
    examples = opened(tmp_path, UNTARGETED, **FIELDS)
    assert examples.ids == tuple(f"set/{n}" for n in range(6))
    assert examples.listing.class_names == tuple(NAMES)
    sent = pickle.loads(pickle.dumps(examples))
    batch = sent.load([5, 0, 2]).batch
    assert batch.labels.tolist() == [2, 0, 2]
    expected = IMAGES[[5, 0, 2]].transpose(0, 3, 1, 2).astype(np.float32) / 255
    assert np.array_equal(batch.images.numpy(), expected)
    store = examples.listing.store
    assert store.fingerprint([0, 1]) != store.fingerprint([1, 0])


def test_rows_that_were_chosen_and_shuffled_keep_their_labels(library: Any, tmp_path: Path) -> None:
    made(library).select([4, 1, 3]).save_to_disk(tmp_path / "set")
    examples = opened(tmp_path, UNTARGETED, **FIELDS)
    batch = examples.load([0, 1, 2]).batch
    assert batch is not None
    assert batch.labels is not None
    assert batch.labels.tolist() == [1, 1, 0]
    assert np.array_equal(batch.images[0].numpy(), IMAGES[4].transpose(2, 0, 1) / np.float32(255))


def test_image_files_as_bytes_and_plain_numbers(library: Any, tmp_path: Path) -> None:
    files = []
    for image in IMAGES[:2]:
        held = io.BytesIO()
        Image.fromarray(image).save(held, "PNG")
        files.append(held.getvalue())
    library.Dataset.from_dict({"jpg": files, "cls": [1, 4]}).save_to_disk(tmp_path / "set")
    examples = opened(tmp_path, UNTARGETED, **FIELDS, image="jpg", label="cls", size=(8, 8))
    assert examples.listing.classes == 5
    batch = examples.load([0, 1]).batch
    assert batch is not None
    assert batch.images.shape == (2, 3, 8, 8)


def test_one_split_of_several(library: Any, tmp_path: Path) -> None:
    both = library.DatasetDict(train=made(library), test=made(library).select([1]))
    both.save_to_disk(tmp_path / "set")
    (message,) = problems(tmp_path, UNTARGETED, **FIELDS)
    assert message == "data.split: there are several: train, test; name one"
    (message,) = problems(tmp_path, UNTARGETED, **FIELDS, split="tset")
    assert message == "data.split: unknown split 'tset'; did you mean 'test'? known: train, test"
    assert opened(tmp_path, UNTARGETED, **FIELDS, split="test").ids == ("set-test/0",)


def test_what_is_wrong_is_said_in_a_line(library: Any, tmp_path: Path) -> None:
    (message,) = problems(tmp_path, UNTARGETED, **FIELDS)
    assert message == f"data.path: no such folder: {tmp_path / 'set'}"
    (tmp_path / "set").mkdir()
    (message,) = problems(tmp_path, UNTARGETED, **FIELDS)
    assert message.startswith(f"data.path: {tmp_path / 'set'}: ")
    made(library).save_to_disk(tmp_path / "good")
    fields = FIELDS | {"path": "good"}
    (message,) = problems(tmp_path, UNTARGETED, **fields, image="imge")
    expected = "unknown column 'imge'; did you mean 'image'? known: image, label"
    assert message == f"data.image: {expected}"
    (message,) = problems(tmp_path, UNTARGETED, **fields, label="lable")
    assert message.startswith("data.label: unknown column 'lable'; did you mean 'label'?")
    (message,) = problems(tmp_path, UNTARGETED, **fields, image="label")
    assert message.startswith("data.image: column 'label' is ClassLabel(")
    assert message.endswith("expected images, or image files as bytes")
    (message,) = problems(tmp_path, UNTARGETED, **fields, label="image")
    assert "expected whole numbers, none absent" in message
    made(library).save_to_disk(tmp_path / "few")
    (message,) = problems(tmp_path, UNTARGETED, **(FIELDS | {"path": "few"}), classes=2)
    assert message.startswith("few: row 2: label 2 is no class, expected 0..1")
    library.Dataset.from_dict({"image": [b""], "label": ["a"]}).save_to_disk(tmp_path / "text")
    (message,) = problems(tmp_path, UNTARGETED, **(FIELDS | {"path": "text"}))
    assert message == (
        "data.label: column 'label' is Value('string'), expected whole numbers, none absent"
    )


def test_a_row_without_an_image_is_set_aside(library: Any, tmp_path: Path) -> None:
    images = [Image.fromarray(IMAGES[0]), None]
    made(library, image=images, label=[0, 1]).save_to_disk(tmp_path / "set")
    loaded = opened(tmp_path, UNTARGETED, **FIELDS).load([0, 1])
    assert loaded.batch is not None
    (rejected,) = loaded.rejected
    assert rejected.reason == "set/1: holds no image, or a path where no file is"


def test_without_the_library_its_line_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    (tmp_path / "set").mkdir()
    (message,) = problems(tmp_path, UNTARGETED, **FIELDS)
    assert message.startswith("data.source: hf sources: datasets ")
    assert "pip install 'gauntlet[datasets]'" in message


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "expected `path`, a folder, or `name`, on the hub: one of them"),
        ({"path": "a", "name": "b/c"}, "one of them"),
        ({"path": "a", "config": "plain"}, "`config` and `revision` belong to a `name` on the hub"),
    ],
)
def test_a_folder_or_a_name(given: dict[str, str], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        spec(source="hf", **given)


def test_names_that_are_folders_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (message,) = problems(tmp_path, UNTARGETED, source="hf", name="../set")
    assert message == (
        "data.name: expected owner/name, as on the hub, got '../set'; a folder is a `path`"
    )
    (tmp_path / "set").mkdir()
    monkeypatch.chdir(tmp_path)
    (message,) = problems(tmp_path, UNTARGETED, source="hf", name="set")
    assert message.endswith(f"would read {tmp_path / 'set'} in its place: name it by `path`")
