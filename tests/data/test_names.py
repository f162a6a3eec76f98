"""Files whose names are not UTF-8, archives that unfold, files that are none."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.data.archive import headers
from gauntlet.pipeline.data.examples import check, open_examples
from gauntlet.pipeline.data.found import Found
from gauntlet.pipeline.data.sources.folder import Folder
from gauntlet.pipeline.data.sources.npz import Npz
from gauntlet.pipeline.problems import BadInput, Problem
from tests.toys import runs as small


def pictures(root: Path) -> Path:
    for number, name in enumerate([b"a/1.png", b"a/caf\xe9.png", b"b/2.png"]):
        path = os.path.join(os.fsencode(root), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        pixels = np.full((32, 32, 3), 40 * number, dtype=np.uint8)
        with open(path, "wb") as file:
            Image.fromarray(pixels).save(file, "PNG")
    return root


def test_a_name_that_is_not_utf_8_is_set_aside(tmp_path: Path) -> None:
    pictures(tmp_path)
    examples = open_examples(
        Folder(source="folder", root="."), Goal.UNTARGETED, root=tmp_path, seed=0
    )
    assert set(examples.ids) == {"a/1.png", r"a/caf\xe9.png", "b/2.png"}
    loaded = examples.load(range(3))
    assert loaded.batch is not None
    assert loaded.batch.ids == ("a/1.png", "b/2.png")
    (rejected,) = loaded.rejected
    assert rejected.id == r"a/caf\xe9.png"
    assert rejected.reason.endswith("its name, escaped here, is not UTF-8: rename the file")


def test_a_run_records_such_a_name(tmp_path: Path) -> None:
    data = {"source": "folder", "root": str(pictures(tmp_path / "images"))}
    small.carry_out(
        tmp_path, "in-process", data=data, select={}, attacks=[{"base": "i", "steps": 1}]
    )
    from gauntlet.pipeline import results

    failures = results.read(str(tmp_path / "run"), "failures")
    assert failures["example"].tolist() == [r"a/caf\xe9.png"]
    assert set(small.verdicts(tmp_path / "run")["example"]) == {"a/1.png", "b/2.png"}


def test_a_file_that_is_really_named_so_is_read(tmp_path: Path) -> None:
    pictures(tmp_path)
    (tmp_path / "a" / "1.png").rename(tmp_path / "a" / r"\xe9.png")
    examples = open_examples(
        Folder(source="folder", root="."), Goal.UNTARGETED, root=tmp_path, seed=0
    )
    assert len(examples.load(range(3)).rejected) == 1


def test_problems_can_be_printed_whatever_they_name() -> None:
    problem = Problem(os.fsdecode(b"caf\xe9.yaml"), "no such file")
    assert str(problem) == r"caf\xe9.yaml: no such file"
    str(BadInput(problem)).encode()


def said(path: Path) -> str:
    found = Found()
    assert headers(path, "data.path", found) is None
    (problem,) = found.in_order
    return problem.what


def test_archives_that_unfold_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "images.npz"
    np.savez_compressed(path, images=np.zeros((100, 64, 64, 3), np.uint8), labels=np.arange(100))
    assert "it unfolds to 1,22" in said(path)
    assert "more than 250 times its size" in said(path)
    np.savez_compressed(path, images=np.zeros((9000, 1, 1, 3), np.uint8), labels=np.zeros(9000))
    assert "has 9,000 entries, more than the file has bytes" in said(path)


@pytest.mark.parametrize("name", ["/dev/zero", "pipe", ".", "a\0b", "~nobody-of-this-name/x"])
def test_what_is_no_archive_is_not_opened(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (problem,) = check(Npz(source="npz", path=name), Goal.UNTARGETED, tmp_path)
    assert problem.where in ("data", "data.path")
