"""Labelled images in Parquet, as Hugging Face writes them and as others do."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from gauntlet.pipeline.batch import Goal
from tests.toys.datasets import opened, pixels, problems

FIELDS: dict[str, Any] = {"source": "parquet", "path": "set"}
UNTARGETED = Goal.UNTARGETED
IMAGES = pixels(6)
NAMES = ["hen", "tench", "cock", "eel"]


def png(number: int) -> bytes:
    held = io.BytesIO()
    Image.fromarray(IMAGES[number]).save(held, "PNG")
    return held.getvalue()


def write(path: Path, numbers: range, bare: bool = False, **columns: Any) -> None:
    """A part of a data set: structures of bytes and path, metadata with the names of classes."""
    path.parent.mkdir(exist_ok=True)
    files = [png(n) if bare else {"bytes": png(n), "path": f"{n}.png"} for n in numbers]
    table = pa.table({"image": files, "label": [n % 3 for n in numbers]} | columns)
    features = {"label": {"_type": "ClassLabel", "names": NAMES}}
    info = {} if bare else {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(table.replace_schema_metadata(info), path, row_group_size=2)


@pytest.mark.parametrize("bare", [False, True], ids=["hugging face", "bytes"])
def test_parts_are_one_data_set(tmp_path: Path, bare: bool) -> None:
    write(tmp_path / "set" / "test-00000-of-00002.parquet", range(3), bare)
    write(tmp_path / "set" / "test-00001-of-00002.parquet", range(3, 6), bare)
    examples = opened(tmp_path, UNTARGETED, **FIELDS)
    assert examples.ids == tuple(f"set/{n}" for n in range(6))
    assert examples.listing.class_names == (() if bare else tuple(NAMES))
    assert examples.listing.classes == (3 if bare else 4)
    batch = examples.load([5, 0, 2]).batch
    assert batch is not None
    assert batch.labels is not None
    assert batch.labels.tolist() == [2, 0, 2]
    expected = IMAGES[[5, 0, 2]].transpose(0, 3, 1, 2).astype(np.float32) / 255
    assert np.array_equal(batch.images.numpy(), expected)
    one = opened(tmp_path, UNTARGETED, source="parquet", path="set/test-00001-of-00002.parquet")
    assert len(one) == 3


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    (message,) = problems(tmp_path, UNTARGETED, **FIELDS)
    assert message == f"data.path: no such file: {tmp_path / 'set'}"
    (tmp_path / "set").mkdir()
    (message,) = problems(tmp_path, UNTARGETED, **FIELDS)
    assert message == f"data.path: no .parquet files in {tmp_path / 'set'}"
    write(tmp_path / "set" / "a.parquet", range(2), label=[0, 7])
    (message,) = problems(tmp_path, UNTARGETED, **FIELDS)
    assert message == "set: row 1: label 7 is no class, expected 0..3"
    (message,) = problems(tmp_path, UNTARGETED, **FIELDS, label="fine_label")
    assert message == "data.label: no column 'fine_label'; it has image, label"
    write(tmp_path / "set" / "a.parquet", range(2), label=["a", "b"])
    (message,) = problems(tmp_path, UNTARGETED, **FIELDS)
    assert message == "data.label: column 'label' is string, expected whole numbers, none absent"
    (tmp_path / "set" / "a.parquet").write_text("<html>")
    (message,) = problems(tmp_path, UNTARGETED, **FIELDS)
    assert message.startswith("data.path: set cannot be read as Parquet: ")


def test_a_row_without_an_image_is_set_aside(tmp_path: Path) -> None:
    write(tmp_path / "set" / "a.parquet", range(2), image=[png(0), None])
    loaded = opened(tmp_path, UNTARGETED, **FIELDS).load([0, 1])
    assert [item.id for item in loaded.rejected] == ["set/1"]
