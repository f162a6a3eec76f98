"""The contact sheet: which classes and images it shows, where, and under which name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from gauntlet.jobs.cli.app import app
from gauntlet.jobs.reports.contact_sheet import SIDE, draw, sheet_rows
from gauntlet.pipeline.batch import Goal
from tests.toys import jobs as tiny
from tests.toys.datasets import grow, opened, write_lfw, write_npz


def gauntlet(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_a_row_a_class_with_label_and_name(tmp_path: Path) -> None:
    grow(
        tmp_path / "set", "n01440764/1.png", "n01440764/2.png", "n01443537/1.png", "n15075141/1.png"
    )
    fields: dict[str, Any] = {"source": "folder", "root": "set", "classes": 1000}
    rows, shows = sheet_rows(opened(tmp_path, Goal.UNTARGETED, **fields), 40, 8)
    assert [row.heading for row in rows] == [
        ("0", "n01440764 tench", "2 examples"),
        ("1", "n01443537 goldfish", "1 example"),
        ("999", "n15075141 toilet tissue", "1 example"),
    ]
    assert [row.positions for row in rows] == [[0, 1], [2], [3]]
    assert rows[0].captions == ["1.png", "2.png"]
    assert shows == "3 of 3 classes, at most 8 of the 4 examples each"


def test_rows_are_bounded_and_spread_to_the_last_label(tmp_path: Path) -> None:
    write_npz(tmp_path / "set.npz", 200, labels=np.arange(200) % 50)
    examples = opened(tmp_path, Goal.TARGETED, source="npz", path="set.npz")
    rows, shows = sheet_rows(examples, 8, 3)
    assert [int(row.heading[0]) for row in rows] == [0, 7, 14, 21, 28, 35, 42, 49]
    assert all(len(row.positions) == 3 for row in rows)
    assert rows[-1].captions[0] == "wanted 0, 49"
    assert shows.startswith("8 of 50 classes (spread evenly over the labels")
    assert [row.heading[0] for row in sheet_rows(examples, 1, 3)[0]] == ["0"]


def test_the_images_are_those_of_the_store(tmp_path: Path) -> None:
    images = np.zeros((4, 8, 8, 3), dtype=np.uint8)
    images[:, :, :] = np.asarray([[250, 0, 0], [0, 250, 0], [0, 0, 250], [250, 250, 0]])[
        :, None, None
    ]
    write_npz(tmp_path / "set.npz", images=images, labels=np.asarray([0, 1, 0, 1]))
    examples = opened(tmp_path, Goal.UNTARGETED, source="npz", path="set.npz")
    rows, _ = sheet_rows(examples, 40, 8)
    sheet, broken = draw(rows, examples.listing.store)
    assert not broken
    shown = np.asarray(sheet).reshape(-1, 3)
    for colour in images[:, 0, 0]:
        assert (shown == colour).all(1).sum() == SIDE * SIDE


def test_an_image_that_does_not_decode_is_marked(tmp_path: Path) -> None:
    grow(tmp_path / "set", "a/1.png", "b/1.png")
    (tmp_path / "set" / "b" / "1.png").write_bytes(b"")
    examples = opened(tmp_path, Goal.UNTARGETED, source="folder", root="set")
    rows, _ = sheet_rows(examples, 40, 8)
    _, broken = draw(rows, examples.listing.store)
    assert len(broken) == 1
    assert broken[0].startswith("b/1.png: not an image")


def test_pairs_have_a_row_a_kind_and_fold(tmp_path: Path) -> None:
    write_lfw(tmp_path / "lfw", sets=2, size=3)
    examples = opened(tmp_path, Goal.DODGING, source="lfw", root="lfw")
    rows, shows = sheet_rows(examples, 40, 4)
    assert [row.heading[:2] for row in rows] == [
        (kind, f"fold {fold} of 2")
        for kind in ("one person", "different people")
        for fold in (1, 2)
    ]
    assert rows[0].captions == [f"Person_0{p}_000{i}.jpg" for p in (0, 1) for i in (1, 2)]
    assert "of the 12 pairs that thresholds are from" in shows


def test_the_command_writes_a_picture_and_says_what_it_shows(tmp_path: Path) -> None:
    path = tiny.write(tmp_path)
    out = tmp_path / "new" / "sheet.png"
    result = gauntlet("data", "look", str(path), "--out", str(out), "--rows", "2")
    assert result.exit_code == 0, result.output
    assert "data: 8 examples from npz; labels 0 to 4, 5 of 5 classes; images 8 x 8" in result.output
    assert f"{out} shows 2 of 5 classes" in result.output
    with Image.open(out) as image:
        assert image.format == "PNG"


@pytest.mark.parametrize("out", ["sheet.jpg", "sheet"])
def test_other_formats_are_refused(tmp_path: Path, out: str) -> None:
    result = gauntlet("data", "look", str(tiny.write(tmp_path)), "--out", out)
    assert result.exit_code == 2
    assert f"--out: {out}: expected a .png file" in result.stderr
