"""Packs of face pairs, and pickles that only call themselves so."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gauntlet.pipeline.batch import Goal
from tests.toys.datasets import opened, pixels, problems

FIELDS: dict[str, Any] = {"source": "bin", "path": "agedb_30.bin", "folds": 2}
IMAGES = pixels(8)


def png(number: int) -> bytes:
    held = io.BytesIO()
    Image.fromarray(IMAGES[number]).save(held, "PNG")
    return held.getvalue()


FILES = [png(number) for number in range(8)]
SAME = [True, False, True, False]


def python_2(images: list[bytes], same: list[bool]) -> bytes:
    """The pickle that Python 2 writes: its texts are bytes, in another opcode."""
    strings = b"".join(b"T" + len(image).to_bytes(4, "little") + image for image in images)
    flags = b"".join(b"I01\n" if flag else b"I00\n" for flag in same)
    return b"(" + b"](" + strings + b"e" + b"](" + flags + b"e" + b"t."


@pytest.mark.parametrize(
    "content",
    [pickle.dumps((FILES, SAME)), pickle.dumps([FILES, [1, 0, 1, 0]]), python_2(FILES, SAME)],
    ids=["python 3", "lists and ints", "python 2"],
)
def test_a_pack(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "agedb_30.bin").write_bytes(content)
    examples = opened(tmp_path, Goal.DODGING, **FIELDS)
    assert examples.ids == ("agedb_30/0|agedb_30/1", "agedb_30/4|agedb_30/5")
    pairs = examples.verification_pairs()
    assert (pairs.same.tolist(), pairs.fold.tolist()) == (SAME, [0, 0, 1, 1])
    batch = examples.load([1]).batch
    assert batch is not None
    assert batch.references is not None
    expected = torch.from_numpy(IMAGES[4:6]).permute(0, 3, 1, 2).float() / 255
    assert torch.equal(torch.cat((batch.images, batch.references)), expected)
    assert pickle.loads(pickle.dumps(examples)).ids == examples.ids
    assert opened(tmp_path, Goal.DODGING, **FIELDS, size=(6, 7)).images([0]).shape[2:] == (6, 7)


class Ran:
    """What a bad pickle may hold: on being read it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_another_pickle_is_refused_and_nothing_runs(tmp_path: Path) -> None:
    proof = tmp_path / "it ran"
    bad = pickle.dumps((FILES, [Ran(proof)]))
    pickle.loads(bad)
    assert proof.exists()
    proof.unlink()
    (tmp_path / "agedb_30.bin").write_bytes(bad)
    (message,) = problems(tmp_path, Goal.DODGING, **FIELDS)
    assert not proof.exists()
    assert message.startswith("data.path: agedb_30.bin is no pack of face pairs: it wants pathlib")
    assert message.endswith("of which nothing was run")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"<html>", "invalid load key"),
        (pickle.dumps((FILES, SAME))[:300], "pickle data was truncated"),
        (pickle.dumps((FILES, np.array(SAME))), "it wants numpy"),
        (pickle.dumps(FILES), "it is a list, not two lists"),
        (pickle.dumps((FILES, ["yes"])), "its lists hold other things"),
        (pickle.dumps((FILES[:7], SAME)), "7 images for 4 pairs"),
        (pickle.dumps(([], [])), "0 images for 0 pairs"),
    ],
)
def test_other_files_are_no_packs(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "agedb_30.bin").write_bytes(content)
    (message,) = problems(tmp_path, Goal.DODGING, **FIELDS)
    assert message.startswith("data.path: agedb_30.bin is no pack of face pairs: ")
    assert why in message


def test_packs_that_are_not_there_and_folds_that_are_too_many(tmp_path: Path) -> None:
    (message,) = problems(tmp_path, Goal.DODGING, **FIELDS)
    assert message == f"data.path: no such file: {tmp_path / 'agedb_30.bin'}"
    (tmp_path / "agedb_30.bin").write_bytes(pickle.dumps((FILES, SAME)))
    (message,) = problems(tmp_path, Goal.DODGING, **(FIELDS | {"folds": 5}))
    assert message == "data.folds: 4 pairs cannot be 5 folds"


def test_a_broken_image_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "agedb_30.bin").write_bytes(pickle.dumps(([*FILES[:5], b"", *FILES[6:]], SAME)))
    loaded = opened(tmp_path, Goal.DODGING, **FIELDS).load([0, 1])
    assert [item.id for item in loaded.rejected] == ["agedb_30/4|agedb_30/5"]
    assert loaded.rejected[0].reason.endswith("the file is empty")
