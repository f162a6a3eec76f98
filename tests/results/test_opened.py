"""A run's images come in the order that is asked for, or are refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from gauntlet import open_run
from gauntlet.pipeline import results
from gauntlet.pipeline.problems import BadInput
from tests.toys.manifests import manifest
from tests.toys.rows import committed

ATTACK = "a/ens"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    run, _ = committed(tmp_path, examples=8)
    run.write("manifest.json", manifest([ATTACK]).text())
    return tmp_path


def test_images_are_in_the_order_of_the_ids(folder: Path) -> None:
    run = open_run(folder)
    ids = ["image-00006", "image-00001", "image-00006"]
    found = run.images(ids, ATTACK)
    assert found.shape == (3, 3, 16, 16)
    assert found.dtype == torch.float32
    assert torch.equal(found[0], found[2])
    stored = run_image(folder, "image-00001")
    assert np.array_equal((found[1] * 255).round().permute(1, 2, 0).byte().numpy(), stored)


def run_image(folder: Path, example: str) -> np.ndarray:
    frame = results.read(str(folder), "examples")
    row = frame[frame["example"].eq(example) & frame["attack"].eq(ATTACK)].iloc[0]
    return results.decode_image(row)


def test_what_is_not_there_is_named(folder: Path) -> None:
    run = open_run(folder)
    with pytest.raises(ValueError, match="no image of 'image-00009' by 'a/ens'"):
        run.images(["image-00009"], ATTACK)
    with pytest.raises(ValueError, match="unknown attack 'a/en'; did you mean 'a/ens'"):
        run.images(["image-00001"], "a/en")
    with pytest.raises(TypeError, match=r"write \['image-00001'\]"):
        run.images("image-00001", ATTACK)
    with pytest.raises(BadInput, match="no run here: no such folder"):
        open_run(folder / "none")


def test_ids_that_are_no_text_are_not_the_fault_of_the_data(folder: Path) -> None:
    with pytest.raises(TypeError, match=r"ids are text, such as 'image-0.*': got 0"):
        open_run(folder).images([0], ATTACK)  # type: ignore[list-item]
